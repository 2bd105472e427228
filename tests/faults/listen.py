"""Who asks another machine for anything? An audit hook writes it to the file $CAMUTILS_ASKED, a line each; python runs no other
code when a socket connects or a name is looked up. Imported or run at the start of a process."""

import os
import sys

HERE = ("127.0.0.1", "::1", "localhost", "", None, "0.0.0.0")
EVENTS = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")


def asked(event: str, args: tuple) -> object:
    """The other machine's name that an event tells, or nothing: for other events, for this machine, for files as sockets."""
    if event not in EVENTS:
        return None
    place = args[1] if event in ("socket.connect", "socket.sendto") else args[0]
    name = place[0] if isinstance(place, tuple) else place
    if event in ("socket.connect", "socket.sendto") and not isinstance(place, tuple):
        return None  # a socket in the file system
    name = name.decode() if isinstance(name, bytes) else name
    return None if name in HERE else name


def listen(who: str) -> None:
    """From now on, in this process, as long as $CAMUTILS_ASKED stays; `who` is written first."""
    path = os.environ["CAMUTILS_ASKED"]

    def hook(event, args):
        if (name := asked(event, args)) is not None and os.environ.get("CAMUTILS_ASKED") == path:
            with open(path, "a") as file:
                file.write(f"{who} asked {name}\n")

    with open(path, "a") as file:
        file.write(f"{who}\n")
    sys.addaudithook(hook)


if __name__ == "__main__" and "CAMUTILS_ASKED" in os.environ:
    listen("kernel")
