"""Networks: two small ones for the scenes, torchvision's for photographs; all take RGB in [0, 1].

`scenes_resnet`  residual blocks, batch norm, global average pooling: like ResNet, 0.5 M parameters
`scenes_vgg`     plain convolutions with biases, no batch norm, two linear layers: like VGG, 0.4 M parameters
Both give 10 logits, one per digit; sigmoid turns each into the probability that the digit is there (multi-label).
"""

from torch import Tensor, nn, relu


class Block(nn.Module):
    """Residual block: ReLU(x + bn conv ReLU bn conv x), with a 1 x 1 projection where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = inputs == outputs and stride == 1
        project = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity() if same else project
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return self.relu(out + self.shortcut(x))


class ScenesResNet(nn.Module):
    """stem 48 x 48, layer1 48 x 48, layer2 24 x 24, layer3 and layer4 12 x 12 (on 96 x 96); mean over space; linear."""

    def __init__(self, classes: int = 10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.layer1 = Block(32, 32)
        self.layer2 = Block(32, 64, 2)
        self.layer3 = Block(64, 96, 2)
        self.layer4 = Block(96, 128)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(128, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return self.fc(self.avgpool(x).flatten(1))


class ScenesVGG(nn.Module):
    """Five convolutions, ReLU and max-pooling between them, 12 x 12 before the last pooling; then 3 x 3 means, two linear."""

    def __init__(self, classes: int = 10):
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for outputs in (24, "pool", 48, "pool", 64, 64, "pool", 128, 128, "pool"):
            if isinstance(outputs, str):
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(channels, outputs, 3, 1, 1), nn.ReLU()]
                channels = outputs
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(3)
        self.classifier = nn.Sequential(nn.Linear(128 * 9, 128), nn.ReLU(), nn.Linear(128, classes))
        for layer in self.modules():  # without batch norm the start matters (He et al. 2015)
            if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


SHUFFLED = "_shuffled"  # the same network, trained on labels that were dealt out anew: the control of `sanity`
SEED = "_seed"  # NAME_seed1, NAME_seed2: the same network from another start, with its scenes in another order; NAME is seed 0
SCENE_NETWORKS = {"scenes_resnet": ScenesResNet, "scenes_vgg": ScenesVGG, f"scenes_resnet{SHUFFLED}": ScenesResNet,
                  f"scenes_resnet{SEED}1": ScenesResNet, f"scenes_resnet{SEED}2": ScenesResNet,
                  f"scenes_vgg{SEED}1": ScenesVGG, f"scenes_vgg{SEED}2": ScenesVGG}
