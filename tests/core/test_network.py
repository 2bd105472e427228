"""A network and how it is asked: further inputs, outputs, arrangements, calls, modes, threads; for every method."""

import threading

import pytest
import torch
from conftest import Tiny, hooks, seeded
from torch import nn
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint

import camutils as cam
from camutils import METHODS, Network

FEW = {"integrated_grad_cam": {"steps": 2}, "gig_cam": {"steps": 2}, "gig_cam_m": {"steps": 2, "scales": (1, 1.5)}}  # for time
NEED_NO_GRADIENT = ("score_cam", "cluster_cam")
each = pytest.mark.parametrize("name", METHODS)


def maps(name, model, images, targets=1, layer="conv2", **options):
    return METHODS[name](model, images, targets, layer, **FEW.get(name, {}), **options)


class Aged(nn.Module):
    """Tiny, whose channels behind conv2 are weighed by a second input of each image, and by a third that is nested."""

    def __init__(self):
        super().__init__()
        self.tiny, self.embed = Tiny(), nn.Linear(1, 5)

    def forward(self, images, age, more=None):
        out = self.tiny(images) * self.embed(age[:, None]).exp()
        return out if more is None else out * more["gain"][0][:, None]


@each
def test_further_inputs_go_with_their_image(name, images):
    model = seeded_aged()
    age, gain = torch.tensor([-2.0, 0.3, 1.0, 2.5]), torch.tensor([1.0, -1.0, 2.0, 0.5])
    kwargs = {"more": {"gain": (gain,)}}
    together = maps(name, model, images, None, "tiny.conv2", forward_args=(age,), forward_kwargs=kwargs)
    alone = [maps(name, model, images[b : b + 1], None, "tiny.conv2", forward_args=(age[b : b + 1],),
                  forward_kwargs={"more": {"gain": (gain[b : b + 1],)}})[0] for b in range(4)]
    assert_close(together, torch.stack(alone), atol=1e-4, rtol=0)
    other = maps(name, model, images, None, "tiny.conv2", forward_args=(age.flip(0),), forward_kwargs=kwargs)
    assert not torch.allclose(together, other, atol=1e-3)  # it matters whose age it is


def seeded_aged():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = Aged()
    model.tiny = seeded(Tiny, size=16)
    return model.eval()


def test_metrics_take_a_network(images):
    model, age = seeded_aged(), torch.tensor([-2.0, 0.3, 1.0, 2.5])
    network = Network(model, forward_args=(age,))
    L = cam.grad_cam(network, images, 1, "tiny.conv2")
    assert_close(L, cam.grad_cam(model, images, 1, "tiny.conv2", forward_args=[age]), rtol=0, atol=0)
    curves = cam.deletion_insertion(network, images, L, 1, steps=4, chunk=8)  # several copies of the batch in one pass
    for b in range(4):
        one = Network(model, forward_args=(age[b : b + 1],))
        alone = cam.deletion_insertion(one, images[b : b + 1], L[b : b + 1], 1, steps=4)
        assert_close(curves.deletion[b], alone.deletion[0], atol=1e-5, rtol=0)
    steady = cam.rounding_sensitivity(cam.grad_cam, network, images, 1, "tiny.conv2", draws=1)
    assert steady.largest.max() < 1e-3
    cascade = cam.cascading_randomisation(cam.grad_cam, network, images, 1, "tiny.conv2")
    assert cascade.correlation.shape == (len(cascade.modules), 4)


@pytest.mark.parametrize(("bad", "error", "said"), [
    ({"forward_args": torch.ones(4)}, TypeError, "forward_args are a Tensor; accepted: a tuple or list"),
    ({"forward_args": (torch.ones(3),)}, ValueError, r"has shape \(3,\) for 4 images; accepted: one row per image"),
    ({"output": "logits"}, TypeError, "output is a str; accepted: a function"),
    ({"reshape": "tokenz"}, ValueError, "reshape 'tokenz'; accepted: None, a function, tokens, channels_last, none"),
    ({"call": -2}, ValueError, "call -2; accepted: 0 for a layer's first call"),
    ({"call": 1.0}, ValueError, "call 1.0; accepted"),
    ({"call": 3}, ValueError, "layer 'conv2' is called 1 time; accepted as call: -1, 0 to 0"),
    ({"mode": "train"}, ValueError, "mode 'train'; accepted: eval, as is"),
    ({"layout": "NHWC"}, TypeError, "unexpected keyword argument 'layout'; accepted beside the method's own: forward_args"),
])
def test_what_is_not_accepted(bad, error, said, tiny, images):
    with pytest.raises(error, match=said):
        cam.grad_cam(tiny, images, 1, "conv2", **bad)
    with pytest.raises(error, match=said):
        cam.integrative_cam(tiny, images, 1, "conv2", **bad)


def test_rows_that_do_not_fit_are_told_behind_masks_too(images):
    network = Network(seeded_aged(), forward_args=(torch.ones(2),))
    with pytest.raises(ValueError, match=r"has shape \(2,\) for [34] images"):
        cam.masked_scores(network, images, 1, torch.rand(4, 3, 4, 4), chunk=3)


class Answers(nn.Module):
    """Tiny with a dict of answers."""

    def __init__(self):
        super().__init__()
        self.tiny = seeded(Tiny, size=16)

    def forward(self, images):
        return {"logits": self.tiny(images), "aux": images.mean((1, 2, 3))}


def logits(output):
    return output["logits"]


@each
def test_an_output_function_gives_every_kind_of_target(name, images):
    model, tiny = Answers(), seeded(Tiny, size=16)
    for targets in (None, 2, [0, 1, 2, 3], torch.tensor([3, 2, 1, 0])):
        found = maps(name, model, images, targets, "tiny.conv2", output=logits)
        assert_close(found, maps(name, tiny, images, targets), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="the network returned dict, not .*; accepted then: output="):
        maps(name, model, images, 1, "tiny.conv2")


class OneLogit(nn.Module):
    """Tiny's last logit alone."""

    def __init__(self):
        super().__init__()
        self.tiny = seeded(Tiny, size=16)

    def forward(self, images):
        return self.tiny(images)[:, 4:]


@each
def test_one_logit(name, images):
    model, tiny = OneLogit(), seeded(Tiny, size=16)
    expected = maps(name, tiny, images, 4)
    for targets in (None, 0, [0] * 4):
        assert_close(maps(name, model, images, targets, "tiny.conv2"), expected, atol=1e-5, rtol=0)
    negative = maps(name, model, images, lambda output: -output[:, 0], "tiny.conv2")
    assert not torch.equal(negative, expected)
    with pytest.raises(ValueError, match="one logit; accepted: None or 0, the logit; for the negative class a callable"):
        maps(name, model, images, 1, "tiny.conv2")


def test_the_confidence_of_one_logit_is_its_sigmoid(images):
    model = OneLogit()
    z = model(images)[:, 0].detach()
    assert_close(cam.confidence(model, images), z.sigmoid())
    assert_close(cam.confidence(model, images, lambda output: -output[:, 0]), 1 - z.sigmoid())
    Y, shown = cam.drop_increase(model, images, torch.zeros(4, 16, 16))  # of a softmax over one class both would be 1
    assert_close(Y, z.sigmoid())
    assert_close(shown, model(torch.zeros_like(images))[:, 0].detach().sigmoid())


class Tokens(nn.Module):
    """A convolution's map, written as (B, h, w, K) or as (B, 1 + h w, K), and back."""

    def __init__(self, form):
        super().__init__()
        self.tiny, self.form, self.written = seeded(Tiny, size=16), form, nn.Identity()
        self.mix = nn.Identity()

    def forward(self, images):
        t = self.tiny
        x = t.relu1(t.bn1(t.conv1(images)))
        x = t.relu2(t.conv2(t.pool(x)))
        B, K, h, w = x.shape
        if self.form == "channels_last":
            x = self.written(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        else:
            token = x.mean((2, 3), keepdim=True).flatten(2).transpose(1, 2)
            x = self.written(torch.cat([token, x.flatten(2).transpose(1, 2)], 1))
            x = x[:, 1:].transpose(1, 2).unflatten(2, (h, w)) + x[:, :1].transpose(1, 2)[..., None]
        return t.fc(t.avgpool(t.relu3(t.conv3(self.mix(x)))).flatten(1))


@each
@pytest.mark.parametrize("form", ["channels_last", "tokens"])
def test_an_arrangement_is_found_and_can_be_said(name, form, images):
    model, images = Tokens(form).eval(), images[..., :12, :12]  # 6 x 6 cells, 8 channels: no doubt which is which
    found = maps(name, model, images, 1, "written")
    assert_close(maps(name, model, images, 1, "written", reshape=form), found, rtol=0, atol=0)
    by_hand = (lambda out: out.permute(0, 3, 1, 2)) if form == "channels_last" else (
        lambda out: out[:, 1:].transpose(1, 2).unflatten(2, (6, 6)))
    if name != "gig_cam_m":  # whose grids differ from scale to scale
        assert_close(maps(name, model, images, 1, "written", reshape=by_hand), found, rtol=0, atol=0)
    if form == "channels_last":  # then it is nothing but the map itself
        assert_close(found, maps(name, model, images, 1, "mix"), atol=1e-6, rtol=0)


@pytest.mark.parametrize("form", ["channels_last", "tokens"])
def test_gradients_at_several_arranged_layers_are_those_of_the_entries(form, images):
    model = Tokens(form).eval().double()
    x = images[..., :12, :12].double()
    seen = cam.probe_layers(model, x, 1, ["tiny.relu1", "written", "tiny.conv3"])
    kept = {}
    handles = [model.get_submodule(n).register_forward_hook(lambda m, a, out, n=n: kept.__setitem__(n, out)) for n in seen.A]
    g = torch.autograd.grad(model(x)[:, 1].sum(), (kept["tiny.relu1"], kept["written"], kept["tiny.conv3"]))
    [handle.remove() for handle in handles]
    raw = g[1].permute(0, 3, 1, 2) if form == "channels_last" else g[1][:, 1:].transpose(1, 2).unflatten(2, (6, 6))
    for name, expected in zip(seen.g, (g[0], raw, g[2]), strict=True):
        assert_close(seen.g[name], expected, rtol=0, atol=1e-15)
    with cam.capture(model, "written") as A:
        model(x)
    assert A["written"].shape == seen.A["written"].shape == (4, 8, 6, 6)
    with pytest.raises(ValueError, match="reshape='tokens', 'channels_last' or a function"):
        cam.grad_cam(model, x, 1, "written", reshape="none") if form == "tokens" else cam.grad_cam(model, x, 1, "tiny.fc")


class Shared(nn.Module):
    """One ReLU, three times."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(4, 5, 3, 2, 1), nn.Conv2d(5, 6, 3, 1, 1)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.c(self.relu(self.b(self.relu(self.a(x)))))).square().mean((2, 3))


@pytest.mark.filterwarnings("error")
def test_which_call_of_a_shared_layer(images):
    model = seeded(Shared, size=16)
    with pytest.warns(UserWarning, match="layer 'relu' is called 3 times in one forward pass; call= chooses") as told:
        last, _ = cam.probe(model, images, 1, "relu")
        cam.probe(model, images, 1, "relu")
    assert len(told) == 1  # said once
    for call, module in ((0, "a"), (1, "b"), (2, "c")):
        A, g = cam.probe(Network(model, call=call), images, 1, "relu")
        before, _ = cam.probe(model, images, 1, module)
        assert_close(A, before.relu(), rtol=0, atol=0)
        assert_close(cam.probe(model, images, 1, f"relu[{call}]"), (A, g), rtol=0, atol=0)
    assert_close(last, A, rtol=0, atol=0)
    both = cam.probe_layers(model, images, 1, ["relu[0]", "relu[2]"])
    assert [a.shape[1] for a in both.A.values()] == [4, 6]


class Inlined(nn.Module):
    """A residual sum that no module puts out."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.fc = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 1, 1), nn.Linear(6, 5)

    def forward(self, x):
        x = torch.relu(self.a(x))
        x = torch.relu(self.b(x) + x)
        return self.fc(x.mean((2, 3)))


@each
def test_a_tensor_that_no_module_puts_out(name, images):
    model = seeded(Inlined, size=16)
    A = torch.relu(model.b(torch.relu(model.a(images))) + torch.relu(model.a(images))).detach()
    seen, _, _ = cam.activation(model, images, 1, "b:add:relu")
    assert_close(seen, A, rtol=0, atol=0)
    _, g = cam.probe(model, images, 1, "b:add:relu")
    assert_close(g, (model.fc.weight[1] / 64)[None, :, None, None].expand_as(A).detach())
    assert maps(name, model, images, 1, "b:add:relu").shape == (4, 16, 16)
    assert hooks(model) == hooks(seeded(Inlined, size=16))


def test_modes(images):
    tiny = seeded(Tiny, size=16)
    tiny.drop.train()
    torch.manual_seed(0)
    as_is = [cam.grad_cam(tiny, images, 1, "conv2", mode="as is") for _ in range(2)]
    assert not torch.equal(*as_is) and tiny.drop.training
    torch.manual_seed(0)
    assert torch.equal(cam.grad_cam(tiny, images, 1, "conv2", mode="as is"), as_is[0])
    assert torch.equal(cam.grad_cam(tiny, images, 1, "conv2"), cam.grad_cam(tiny.eval(), images, 1, "conv2", mode="as is"))


class Folded(nn.Module):
    """A clip of two frames per image, folded into the batch."""

    def __init__(self):
        super().__init__()
        self.tiny = seeded(Tiny, size=16)

    def forward(self, x):
        frames = torch.stack([x, x.flip(3)], 1).flatten(0, 1)
        return self.tiny(frames).unflatten(0, (len(x), 2)).mean(1)


@each
def test_a_clip_folded_into_the_batch_is_told(name, images):
    with pytest.raises(ValueError, match="layer 'tiny.conv2' sees 8 pictures for 4 images"):
        maps(name, Folded(), images, 1, "tiny.conv2")


class Cut(nn.Module):
    """The layer's output reaches the score, but no gradient comes back."""

    def __init__(self, how):
        super().__init__()
        self.tiny, self.how = seeded(Tiny, size=16), how

    def forward(self, x):
        if self.how == "no_grad":
            with torch.no_grad():
                x = self.tiny.conv1(x)
        elif self.how == "reentrant":
            x = checkpoint(self.tiny.conv1, x.requires_grad_(), use_reentrant=True)
        else:
            x = self.tiny.conv1(x).detach()
        t = self.tiny
        return t.fc(t.avgpool(t.conv3(t.conv2(t.relu1(t.bn1(x))))).flatten(1))


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")
@pytest.mark.parametrize("how", ["no_grad", "detach", "reentrant"])
@each
def test_a_cut_gradient_is_told_as_such(name, how, images):
    model = Cut(how)
    if name in NEED_NO_GRADIENT:
        assert maps(name, model, images, 1, "tiny.conv1").any()
        return
    with pytest.raises(ValueError, match="lets no gradient through|reentrant checkpoint") as told:
        maps(name, model, images, 1, "tiny.conv1")
    assert "score_cam, cluster_cam" in str(told.value) and "does not depend" not in str(told.value)
    assert hooks(model) == hooks(Cut(how))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize("number", range(4))
def test_no_failed_registration_leaves_a_hook(number, tiny, images, monkeypatch):
    before, calls = hooks(tiny), []
    register = nn.Module.register_forward_hook

    def failing(self, *args, **kwargs):
        calls.append(1)
        if len(calls) > number:
            raise RuntimeError("no hook here")
        return register(self, *args, **kwargs)

    monkeypatch.setattr(nn.Module, "register_forward_hook", failing)
    with pytest.raises(ValueError, match="scripted or traced network.*no hook here"):
        cam.integrative_cam(tiny, images, 1, ["conv1", "relu1", "conv2", "conv3", "relu3"])
    assert hooks(tiny) == before


def test_fixed_input_sizes_are_told(images):
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16 * 16, 5))
    assert cam.grad_cam(model, images, 1, "1").any()
    for call in (lambda: cam.grad_cam(model, images[..., :12], 1, "1"),
                 lambda: cam.multi_scale(cam.grad_cam, model, images, 1, "1", scales=(1, 1.5)),
                 lambda: cam.combined_cam(model, images, 1, "1", scales=(1, 1.5))):
        with pytest.raises(ValueError, match=r"does not take images of (16 x 12|24 x 24) pixels .* needs? a network that pools"):
            call()


def test_a_table_of_positions_fixes_the_size():
    class Placed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.place, self.fc = nn.Conv2d(3, 4, 4, 4), nn.Parameter(torch.rand(1, 4, 4, 4)), nn.Linear(4, 5)

        def forward(self, x):
            return self.fc((self.conv(x) + self.place).relu().mean((2, 3)))

    model = seeded(Placed, 16)
    assert cam.grad_cam(model, torch.rand(1, 3, 16, 16), 1, "conv").shape == (1, 16, 16)
    for method in ("grad_cam", "cluster_cam", "gig_cam_m"):
        with pytest.raises(ValueError, match=r"take images of 24 x 24 pixels \(The size of tensor .* a table of positions"):
            METHODS[method](model, torch.rand(1, 3, 24, 24), 1, "conv", **FEW.get(method, {}))


@pytest.mark.parametrize("name", ["grad_cam", "integrative_cam", "cluster_cam"])
def test_one_model_in_two_threads(name, tiny):
    rng = torch.Generator().manual_seed(1)
    pictures = torch.rand(24, 1, 3, 16, 16, generator=rng)
    expected = [maps(name, tiny, x) for x in pictures]
    found, flags = {}, [m.training for m in tiny.modules()]

    def explain(start):
        for i in range(start, 24, 3):
            found[i] = maps(name, tiny, pictures[i])

    threads = [threading.Thread(target=explain, args=(start,)) for start in range(3)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert all(torch.allclose(found[i], L, atol=1e-6) for i, L in enumerate(expected))
    assert [m.training for m in tiny.modules()] == flags and hooks(tiny) == hooks(seeded(Tiny, size=16))
