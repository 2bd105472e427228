"""The networks of the zoo: how each is built without a download, what a user says of it, and what is known of it by hand."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import interpolate

from camutils import Network
from camutils.networks.random_weights import randomise

CLASSES = 5
BATCH = 2


class Entry(NamedTuple):
    """A network of the table.

    build     makes it, with weights of its own, untrained
    size      height and width of the pictures
    how       the keywords of `camutils.Network` that a user passes, for BATCH images
    layout    of its default layer, known by hand: "channels first", "channels last" or "tokens"
    refused   methods that it cannot be explained by, "all", or those named
    unsteady  methods whose map hangs on the last bit, here: which of two pixels that tie comes first; PyTorch's own gradient of
              an image, which is another in a batch (LeViT's stem, by hand too); a sum_k g_k A_k that is rounding, since only a
              LayerNorm reads A, whatever A's scale (HuggingFace's ViT)
    cheap     does the ordinary test suite run it?
    """

    name: str
    library: str
    build: Callable[[], nn.Module]
    size: int = 64
    how: dict[str, Any] = {}
    layout: str = "channels first"
    refused: tuple[str, ...] = ()
    unsteady: tuple[str, ...] = ()
    cheap: bool = False


def make(entry: Entry) -> Network:
    """The network, in double precision and eval mode, with random weights that matter: nothing in it is switched off."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = entry.build()
        for name, p in model.named_parameters():
            if p.numel() and p.abs().max() < 1e-2 and p.max() == p.min() and not name.endswith("bias"):
                nn.init.normal_(p, 0.3, 0.05)  # heads, scales and branches that begin at 0
        if not entry.library.endswith("detection"):
            randomise(model if "forward_args" not in entry.how else _Asked(model), max(entry.size, 32))
    return Network(model.double().eval(), **entry.how)


class _Asked(nn.Module):
    """A network of two inputs, called with one."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images, torch.zeros(len(images)))


# --- by hand: what people write themselves, and twins of what other libraries write ---

def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU())


class UNet(nn.Module):
    """Down, up, joined: a score for every class at every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = conv(3, 6), conv(6, 8, 2), conv(8, 10, 2)
        self.up2, self.up1, self.out = conv(18, 8), conv(14, 7), nn.Conv2d(7, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        one = self.down1(x)
        two = self.down2(one)
        up = self.up2(torch.cat([two, interpolate(self.bottom(two), scale_factor=2)], 1))
        return self.out(self.up1(torch.cat([one, interpolate(up, scale_factor=2)], 1)))


class Small(nn.Module):
    """Three convolutions, a mean, a linear layer."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(3, 8, 2), conv(8, 12, 2), conv(12, 16, 2))
        self.head = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


class TwoInputs(Small):
    """Small, asked with the age of each image's owner."""

    def __init__(self) -> None:
        super().__init__()
        self.age = nn.Linear(1, CLASSES)

    def forward(self, x: Tensor, age: Tensor) -> Tensor:
        return super().forward(x) * self.age(age.to(x)[:, None]).exp()


class Answer(dict):
    """An answer with fields, as HuggingFace's networks give it."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


class Answering(nn.Module):
    """Twin of a HuggingFace classifier: the network is held by another, and answers by fields."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.classifier = conv(3, 12, 4), nn.Linear(12, CLASSES)

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None) -> Answer:
        features = self.backbone(pixel_values)
        return Answer(logits=self.classifier(features.mean((2, 3))), features=features)


class Held(nn.Module):
    """Twin of a LightningModule: the network is a part beside others."""

    def __init__(self) -> None:
        super().__init__()
        self.accuracy, self.net = nn.Identity(), torchvision.models.resnet18(weights=None, num_classes=CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class LastBlock(nn.Module):
    """Channels last throughout, as Swin is: normalised, mixed, added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.mix = nn.LayerNorm(channels), nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(self.norm(x)).relu()


class ChannelsLast(nn.Module):
    """Twin of timm's Swin: (B, h, w, K) from the patches to the norm."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 8, 8)
        self.layers, self.norm = nn.Sequential(LastBlock(12), LastBlock(12)), nn.LayerNorm(12)
        self.head = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.layers(self.patches(x).permute(0, 2, 3, 1)))
        return self.head(x.mean((1, 2)))


class Registers(nn.Module):
    """Twin of timm's ViT with registers: 1 + 4 tokens before the 8 x 8 of a picture of 64; every token sees every other."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.first = nn.Conv2d(3, 16, 8, 8), nn.Parameter(torch.randn(1, 5, 16))
        self.blocks = nn.ModuleList([nn.TransformerEncoderLayer(16, 2, 32, 0.0, "gelu", batch_first=True) for _ in range(3)])
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.first.expand(len(x), -1, -1), self.patches(x).flatten(2).transpose(1, 2)], 1)
        for block in self.blocks:
            x = block(x)
        return self.head(x[:, 0])


# --- libraries ---

def of_torchvision(name: str, **options: Any) -> nn.Module:
    return torchvision.models.get_model(name, weights=None, **{"num_classes": CLASSES} | options)


def segmenter(name: str) -> nn.Module:
    return torchvision.models.get_model(name, weights=None, weights_backbone=None, num_classes=CLASSES)


def of_timm(name: str, **options: Any) -> nn.Module:
    return import_module("timm").create_model(name, pretrained=False, num_classes=CLASSES, **options)


def of_transformers(name: str, **config: Any) -> nn.Module:
    library = import_module("transformers")
    return getattr(library, f"{name}ForImageClassification")(getattr(library, f"{name}Config")(num_labels=CLASSES, **config))


def lightning_module() -> nn.Module:
    class Classifier(import_module("lightning").LightningModule):  # type: ignore[misc]  # known only where it is installed
        def __init__(self) -> None:
            super().__init__()
            self.loss, self.net = nn.CrossEntropyLoss(), of_torchvision("resnet18")

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

    return Classifier()


def small_vit() -> nn.Module:
    return torchvision.models.VisionTransformer(image_size=64, patch_size=8, num_layers=4, num_heads=3, hidden_dim=96,
                                                mlp_dim=192, num_classes=CLASSES)


def small_maxvit() -> nn.Module:
    return torchvision.models.MaxVit((64, 64), 16, 2, [16, 32, 48, 64], [1, 1, 1, 1], 16, 0.0, num_classes=CLASSES)


def tv(name: str, size: int = 64, entry: dict[str, Any] | None = None, **options: Any) -> Entry:
    return Entry(name, "torchvision", partial(of_torchvision, name, **options), size, **entry or {})


def timm(name: str, size: int = 64, entry: dict[str, Any] | None = None, **options: Any) -> Entry:
    return Entry(name, "timm", partial(of_timm, name, **options), size, **entry or {})


LOGITS = {"output": lambda out: out.logits}
MEAN = {"output": lambda out: out["out"].mean((2, 3))}  # of a segmentation: how much of the picture is of each class
ONE_SIZE = ("gig_cam_m",)  # a picture at two scales, for a network that takes one size
CHEAP, LAST = {"cheap": True}, {"layout": "channels last"}
TOKENS = {"layout": "tokens", "refused": ONE_SIZE}
NETWORKS = [
    tv("alexnet"), tv("convnext_tiny"), tv("densenet121"), tv("efficientnet_b0"), tv("efficientnet_v2_s"),
    tv("googlenet", init_weights=False), tv("inception_v3", 128, init_weights=False, aux_logits=False),
    Entry("maxvit (4 blocks)", "torchvision", small_maxvit, refused=ONE_SIZE),
    tv("mnasnet0_5"), tv("mobilenet_v2"), tv("mobilenet_v3_small", 64, {"unsteady": ("gig_cam", "gig_cam_m")}),
    tv("regnet_y_400mf"), tv("resnet18", 64, CHEAP), tv("resnext50_32x4d"), tv("shufflenet_v2_x0_5", 64, CHEAP),
    tv("squeezenet1_1", 64, CHEAP), tv("swin_t"), tv("swin_v2_t"), tv("vgg11_bn"),
    Entry("vit (4 blocks)", "torchvision", small_vit, 64, **TOKENS, cheap=True),
    tv("wide_resnet50_2"),
    timm("resnet18"), timm("resnetv2_50x1_bit"), timm("convnext_atto", 64, CHEAP), timm("efficientnet_lite0"),
    timm("mobilenetv3_small_050"), timm("regnety_002"), timm("densenet121"), timm("vgg11_bn"), timm("hrnet_w18_small"),
    timm("res2net50_14w_8s"), timm("resnest14d"), timm("nf_resnet26"), timm("edgenext_xx_small"), timm("mobilevit_xxs"),
    timm("poolformer_s12"), timm("pvt_v2_b0"), timm("coatnet_pico_rw_224", 64, {"refused": ONE_SIZE}, img_size=64),
    timm("vit_tiny_patch16_224", 96, TOKENS, img_size=96), timm("deit_tiny_distilled_patch16_224", 96, TOKENS, img_size=96),
    timm("beit_base_patch16_224", 96, TOKENS, img_size=96, embed_dim=96, depth=4, num_heads=3),
    timm("swin_tiny_patch4_window7_224", 64, {**LAST, "refused": ONE_SIZE}, img_size=64),
    timm("levit_128s", 128, TOKENS | {"unsteady": ("integrative_cam",)}, img_size=128),
    timm("mixer_s32_224", 160, TOKENS, img_size=160),
    Entry("ResNetForImageClassification", "transformers",
          partial(of_transformers, "ResNet", embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1],
                  layer_type="basic"), 64, LOGITS, cheap=True),
    Entry("ViTForImageClassification", "transformers",
          partial(of_transformers, "ViT", image_size=64, patch_size=8, hidden_size=48, num_hidden_layers=3, num_attention_heads=3,
                  intermediate_size=96), 64, LOGITS, **TOKENS, unsteady=("hires_cam",),
          cheap=True),
    Entry("LightningModule holding resnet18", "lightning", lightning_module, cheap=True),
    Entry("fcn_resnet50, mean of a class", "torchvision segmentation", partial(segmenter, "fcn_resnet50"), 64, MEAN),
    Entry("deeplabv3_mobilenet_v3_large, mean of a class", "torchvision segmentation",
          partial(segmenter, "deeplabv3_mobilenet_v3_large"), 64, MEAN),
    Entry("lraspp_mobilenet_v3_large, as it is", "torchvision segmentation",
          partial(segmenter, "lraspp_mobilenet_v3_large"), refused=("all",)),
    Entry("fasterrcnn_mobilenet_v3_large_320_fpn", "torchvision detection",
          partial(segmenter, "fasterrcnn_mobilenet_v3_large_320_fpn"), refused=("all",)),
    Entry("U-Net, mean of a class", "by hand", UNet, 32, {"output": lambda out: out.mean((2, 3))}, cheap=True),
    Entry("U-Net, as it is", "by hand", UNet, 32, refused=("all",), cheap=True),
    Entry("one logit", "by hand", partial(Small, 1), 64, cheap=True),
    Entry("two inputs", "by hand", TwoInputs, 64, {"forward_args": (torch.tensor([-0.5, 1.0]),)}, cheap=True),
    Entry("answer with fields", "by hand", Answering, 64, LOGITS, cheap=True),
    Entry("network held by another", "by hand", Held, 64, cheap=True),
    Entry("channels last", "by hand", ChannelsLast, 64, layout="channels last", cheap=True),
    Entry("tokens behind registers", "by hand", Registers, 64, layout="tokens", cheap=True),
]
