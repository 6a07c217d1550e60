"""`sim2arm bench imitation`: what is compared with are the same networks; rows; bad input."""

# pyright: standard

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sim2arm.cli import main as cli
from sim2arm.cli.checkout import find_checkout
from sim2arm.policies.act import ActCfg, ActNetwork
from sim2arm.policies.diffusion import DiffusionCfg
from sim2arm.policies.encoders import VECTOR
from sim2arm.policies.keypoint_encoder import Keypoints
from sim2arm.policies.unet import UNet

ROOT = find_checkout()
pytestmark = pytest.mark.skipif(ROOT is None, reason="benchmarks are part of a checkout")


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Any:
    assert ROOT is not None
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    return importlib.import_module


def take(theirs: Any, *ours: Any) -> None:
    """Let a module have the weights of ours, in their order; norms without any stay."""
    values = [value for module in ours for value in module.parameters()]
    for mine, value in zip(theirs.parameters(), values, strict=True):
        mine.data.copy_(value.reshape(mine.shape))


def take_attention(theirs: nn.MultiheadAttention, ours: Any) -> None:
    parts = ours.query, ours.key, ours.value
    assert theirs.in_proj_weight is not None
    theirs.in_proj_weight.data.copy_(torch.cat([part.weight for part in parts]))
    theirs.in_proj_bias.data.copy_(torch.cat([part.bias for part in parts]))
    take(theirs.out_proj, ours.out)


def take_layer(theirs: Any, ours: Any) -> None:
    if theirs.cross is None:
        take_attention(theirs.own, ours.attention)
    else:
        take_attention(theirs.own, ours.own)
        take_attention(theirs.cross, ours.cross)
    take(theirs.linear1, ours.feed[0])
    take(theirs.linear2, ours.feed[3])
    take(theirs.norms, ours.norms)


def test_eager_act_is_ours(modules: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    eager = modules("_eager_act")
    monkeypatch.setattr(eager, "MEAN", (0.5,) * 3)  # colours from -1 to 1, as ours have them
    monkeypatch.setattr(eager, "DEVIATION", (0.5,) * 3)
    torch.manual_seed(0)
    cfg = ActCfg(chunk=8, dim=32, heads=4, feed=64, style_layers=2, layers=2, style=4, width=16)
    pictures = torch.randint(0, 256, (2, 1, 64, 96, 3), dtype=torch.uint8)
    vector = torch.randn(2, 1, 5)
    ours = ActNetwork(cfg, {VECTOR: vector, "camera": pictures}, 3).eval()
    theirs = eager.EagerAct(cfg, 5, 3, eager.group_norm).eval()
    assert ours.trunk is not None and ours.project is not None
    style = ours.style_encoder
    for mine, its in (
        (theirs.backbone, (ours.trunk,)), (theirs.input_proj, (ours.project,)),
        (theirs.style_action, (style.action,)), (theirs.style_vector, (style.vector,)),
        (theirs.latent, (style.out,)), (theirs.latent_out, (ours.style,)),
        (theirs.vector, (ours.vector,)), (theirs.head, (ours.out,)),
    ):  # fmt: skip
        take(mine, *its)
    for mine, value in ((theirs.whole, style.whole), (theirs.query, ours.queries),
                        (theirs.more_place, ours.places)):  # fmt: skip
        mine.weight.data.copy_(value[0])
    for name, layers in (("style_layers", style.layers), ("layers", ours.encoder),
                         ("decoder", ours.decoder)):  # fmt: skip
        for mine, layer in zip(getattr(theirs, name), layers, strict=True):
            take_layer(mine, layer)
    with torch.no_grad():
        expected = ours({VECTOR: vector, "camera": pictures})
        torch.testing.assert_close(theirs(vector, [pictures]), expected, atol=1e-4, rtol=1e-3)
        chunk, padded = torch.randn(2, 8, 3), torch.tensor([[False] * 8, [False] * 5 + [True] * 3])
        moments = theirs.answer(vector, [pictures], chunk, padded)[1]
        for mine, its in zip(moments, style(vector[:, 0], chunk, padded), strict=True):
            torch.testing.assert_close(mine, its, atol=1e-4, rtol=1e-3)


def test_eager_diffusion_is_ours(modules: Any) -> None:
    eager = modules("_eager_diffusion")
    torch.manual_seed(0)
    cfg = DiffusionCfg(chunk=8, dims=(16, 32), step_dim=8, width=16, keypoints=4, picture=6)
    ours, theirs = UNet(3, 10, cfg.dims, cfg.step_dim, True), eager.EagerUNet(cfg, 3, 10)
    take(theirs.step, ours.condition)
    levels = [*zip(theirs.down, ours.down, strict=True), (theirs.middle, ours.middle)]
    for blocks, level in [*levels, *zip(theirs.up, ours.up, strict=True)]:
        for mine, block in zip(blocks, level.blocks, strict=True):
            take(mine, block.first, block.second, block.film, block.past)
    for name in ("shrink", "grow", "out"):
        take(getattr(theirs, name), getattr(ours, name))
    noisy, at, seen = torch.randn(2, 8, 3), torch.tensor([3, 77]), torch.randn(2, 2, 5)
    torch.testing.assert_close(theirs(noisy, at, seen.flatten(1)), ours(noisy, at.float(), seen))
    shape = (48, 56, 3)
    encoder = Keypoints("camera", shape, 16, 4, 6, cfg.crop).eval()
    picture = eager.EagerPicture(cfg, shape[:2]).eval()
    take(picture, encoder)
    pictures = torch.randint(0, 256, (2, *shape), dtype=torch.uint8)
    torch.testing.assert_close(picture(pictures), encoder(pictures), atol=1e-5, rtol=1e-4)


def rows_of(words: str, folder: Path) -> list[dict[str, Any]]:
    out = folder / "imitation.json"
    small = ["--size", "small", "--repeats", "1", "--answers", "1", "--json", str(out)]
    assert cli.main(["bench", "imitation", *words.split(), *small]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert all(row["value"] > 0.0 for row in rows)
    return rows


def test_rows_of_training(tmp_path: Path) -> None:
    rows = rows_of("--cases act diffusion-pictures --cameras 2 --parts train", tmp_path)
    steps = "training steps"
    assert [(row["case"], row["metric"], row["baseline"]) for row in rows] == [
        ("act, 2 cameras 96x64, batch 2", "parameters", None),
        ("act, 2 cameras 96x64, batch 2", steps, "eager"),
        ("act, 2 cameras 96x64, batch 2", steps, "eager, frozen norms"),
        ("act, 2 cameras 96x64, batch 2", "share of the loader", None),
        ("diffusion-pictures, 1 camera 48x48, batch 2", "parameters", None),
        ("diffusion-pictures, 1 camera 48x48, batch 2", steps, "eager"),
        ("diffusion-pictures, 1 camera 48x48, batch 2", "share of the loader", None),
    ]


def test_rows_of_answers(tmp_path: Path) -> None:
    rows = rows_of("--cases diffusion --parts answer", tmp_path)
    assert [(row["metric"], row["unit"], row["baseline"]) for row in rows] == [
        ("parameters", "", None),
        ("time to a chunk, torch, p50", "ms", "eager"),
        ("time to a chunk, onnxruntime, p50", "ms", "eager"),
    ]


def test_published_sizes(modules: Any) -> None:
    """By formula in tests/policies; of ACT the norm after its decoder comes on top, 2 x 512."""
    cases, eager = modules("_imitation_cases").PUBLISHED, modules("_imitation_eager")
    act, diffusion = cases["act"].network, cases["diffusion"].network
    obs = {VECTOR: torch.empty(1, 1, 14), "camera": torch.empty(1, 1, 480, 640, 3).byte()}
    with torch.device("meta"):
        theirs = eager.EagerAct(act, 14, 14, eager.group_norm)
        ours = ActNetwork(act, obs, 14)
        assert eager.parameters(theirs) == eager.parameters(ours) + 2 * 512
        assert eager.parameters(eager.EagerDiffusion(diffusion, 20, 2, [])) == 65_783_298


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--cases atc", "unknown case 'atc'; perhaps you meant act"),
        ("--repeats 0", "must be 1 or more"),
        ("--size large", "large"),
    ],
)
def test_bad_input(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "imitation", *words.split()]) == 2
    assert said in capsys.readouterr().err
