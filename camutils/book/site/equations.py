r"""Equations of docstrings, which stand there as plain text, as TeX.

    L = ReLU(sum_k w_k A_k),    w_k = mean_ij g_kij

A block is read line by line, a line in pieces between two or more spaces, a piece token by token: subscripts, Greek letters by
name, sums and the functions of FUNCTIONS. A piece that is nearly all words is a sentence, and stays one. Where half of the
lines hold no equation, or a sign is unknown, the block is none: `tex` gives None, and the site shows it as it stands.
"""

import re

GREEK = {"alpha", "beta", "gamma", "lambda", "mu", "rho", "sigma"}
LETTERS = {"λ": "lambda", "γ": "gamma", "β": "beta", "α": "alpha", "ρ": "rho"}
TEX = {"sum", "max", "min", "exp", "log", "tanh", "arg"}  # TeX knows them by the same name
FUNCTIONS = {"ReLU", "Up", "mean", "softmax", "logsumexp", "sqrt", "argmax", "Spearman", "AvgPool", "blur", "back", "ulp", "var"}
SMALL_WORDS = {"is", "in", "of", "to", "at", "by", "if", "or", "as", "on", "no", "an", "so", "it", "be", "up", "et", "al"}
OPERATORS = {
    "<=": r"\le", ">=": r"\ge", "!=": r"\ne", "->": r"\to", "<-": r"\leftarrow", "-+": r"\mp", "...": r"\dots", "..": r"\dots",
    "*": r"\cdot", "~": r"\sim", "||": r"\|", "⟨": r"\langle", "⟩": r"\rangle", "%": r"\%", "#": r"\#", "{": r"\{", "}": r"\}",
}
TOKEN = re.compile(r"""
      (?P<code>`[^`]+`)
    | (?P<name>[a-z]{2,}'s\b | (?!(?:sum|mean|max|min|alpha|beta|gamma|lambda|rho)_)[a-z]{3,}_[a-z]{3,} | [A-Za-z][A-Za-z0-9]*
      | [λγβαρ])
      (?P<prime>'*)(?P<star>\*(?=[ \],;)]|$))?
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<index>[_^](?:\{[^{}]*\}|\(\w+\)|[A-Za-z0-9]+(?:\+\d)?'?))
    | (?P<operator><=|>=|!=|->|<-|-\+|\.\.\.|\.\.|\|\||[*~⟨⟩%\#{}])
    | (?P<plain>[-+/=<>()\[\],:;.|])
    | (?P<space>[ ]+)
""", re.X)
SIGN = re.compile(r"<-|[=<>~*|]|(?<![A-Za-z])(?:[A-Za-z]{1,2}|sum|mean|max|min)[_^]\w")  # of an equation
CODE = re.compile(r"""\w\([^()]*(\w=|")|\w\(\)|\.\w+\(|^(with|for|print|from|import)\b""")
MOST = 0.9  # share of words above which a piece is a sentence


def tex(block: str) -> str | None:
    """The TeX of a block of equations, or None where it holds none, or something that is not understood."""
    lines = [line.strip() for line in block.splitlines() if line.strip()]
    if any(CODE.search(line) for line in lines):
        return None
    found = [_line(line) for line in lines]
    if any(line is None for line in found) or sum(line[1] for line in found if line) < len(lines) / 2:
        return None
    rows = [line[0] for line in found if line]
    return rows[0] if len(rows) == 1 else "\\begin{aligned}\n" + " \\\\\n".join(f"& {row}" for row in rows) + "\n\\end{aligned}"


def _line(line: str) -> tuple[str, bool] | None:
    """A line as TeX, and whether an equation is in it; None where a sign is unknown."""
    pieces, equation = list[str](), False
    for piece in re.split(r" {2,}", re.sub(r"<(\w[^<>=|]*)>", r"⟨\1⟩", line)):
        read = _piece(piece)
        if read is None:
            if re.search(r"[\\$^]|_(?!\w)|…", piece):
                return None
            pieces.append(_sentence(piece))
        else:
            pieces.append(read)
            equation |= bool(SIGN.search(piece))
    return " \\qquad ".join(pieces), equation


def _piece(piece: str) -> str | None:
    """Signs of an equation as TeX; None where a sign is unknown, or nearly all of the names are words of a sentence."""
    out, words, names, position = list[str](), 0, 0, 0
    tokens = list[re.Match[str]]()
    while position < len(piece):
        token = TOKEN.match(piece, position)
        if token is None:
            return None
        tokens.append(token)
        position = token.end()
    for i, token in enumerate(tokens):
        after = tokens[i + 1][0] if i + 1 < len(tokens) else ""
        if token["code"]:
            out.append("\\texttt{" + token["code"][1:-1].replace("_", "\\_") + "}")
        elif token["name"]:
            names += 1
            beside = [other[0] for other in tokens[max(i - 2, 0):i] + tokens[i + 2:i + 3]]
            if token["name"] == "sum" and (len(tokens) == 1 or after == " " and {*beside} & {"of", "over", "its"}):
                text, word = "\\text{sum}", True
            else:
                text, word = _name(token["name"], after[:1] in ("_", "^", "(", "["))
            words += word
            out.append(text + "'" * len(token["prime"]) + ("^{*}" if token["star"] else ""))
        elif token["index"]:
            out.append(_index(token[0]) + ("\\," if after == " " and i and tokens[i - 1][0] in FUNCTIONS else ""))
        elif token["operator"]:
            out.append(f"{OPERATORS[token[0]]} ")
        elif token["space"] and after.isdigit() and i and tokens[i - 1]["number"]:
            out.append(" \\; ")  # 100 1[...] is a product
        else:
            out.append(token[0])
    if words > MOST * names or not names:
        return None
    return _joined("".join(out))


def _name(name: str, bound: bool) -> tuple[str, bool]:
    """A name as TeX, and whether it is a word of a sentence. bound: an index or an argument follows."""
    name = LETTERS.get(name, name)
    if name in GREEK or name in TEX:
        return f"\\{name} ", False
    if name in FUNCTIONS:
        return f"\\mathrm{{{name}}}" + ("" if bound else "\\,"), False
    if name == "eps":
        return "\\epsilon ", False
    if len(name) <= 2 and name not in SMALL_WORDS:
        return name, False
    if bound or "_" in name or re.fullmatch(r"[A-Z]{2,}", name):
        return "\\mathrm{" + name.replace("_", "\\_") + "}", False
    return f"\\text{{{name}}}", True


def _index(index: str) -> str:
    """A subscript or superscript: letters as they are, Greek by name, long words upright."""
    sign, bare = index[0], index[1:].strip("{}")
    prime = "'" * bare.count("'")
    inside = bare.replace("'", "")
    if re.fullmatch(r"[A-Za-z]+", inside):
        if inside in GREEK:
            inside = f"\\{inside}"
        elif len(inside) > 4 or inside in ("max", "min", "top", "mean", "base"):
            inside = f"\\mathrm{{{inside}}}"
    elif re.fullmatch(r"\d[a-z]+", inside) and inside[1:] in GREEK:
        inside = f"{inside[0]}\\{inside[1:]}"
    elif not re.fullmatch(r"\w+|\(\w\)|\w\+\d", inside):
        inside = _piece(inside) or _sentence(inside)
    return f"{sign}{{{inside}{prime}}}"


def _sentence(words: str) -> str:
    """Words as TeX."""
    return "\\text{" + re.sub(r"([_%#&{}])", r"\\\1", words.replace("`", "").replace("~", "-")) + "}"


def _joined(text: str) -> str:
    """Words that stand beside each other as one text, with the spaces round it that mathematics leaves out."""
    text = re.sub(r" {2,}", " ", text)
    while (once := re.sub(r"\\text\{([^{}]*)\}( | a )\\text\{", r"\\text{\1\2", text)) != text:
        text = once
    text = re.sub(r"(\\text\{[^{}]*\}) x (\\text\{)", r"\1 \\times \2", text)
    text = re.sub(r"(?<=[\w)\]}'|%]) \\text\{([^{}]*)\}", r"\\text{ \1}", text)
    return re.sub(r"\\text\{([^{}]*)\} (?=[\w({\[|]|\\(?!cdot|le|ge|ne|to|mp|sim|qquad))", r"\\text{\1 }", text)
