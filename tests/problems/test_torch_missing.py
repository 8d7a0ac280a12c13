"""What a user without PyTorch is told."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from mpirobust import catalog
from mpirobust.errors import PlanFault


def test_without_the_package_the_kind_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the model is loaded, which would fail at `import torch`; the kind is listed nevertheless."""

    def found(name: str) -> Any:
        return None if name == "torch" else find_spec(name)

    monkeypatch.setattr(catalog, "find_spec", found)
    room = catalog.ROOMS["problem"]
    assert "model" in catalog.defaults(catalog.load(room, "torch", "problem"))
    advice = r"needs the package torch, which is not installed: pip install 'mpirobust\[torch\]'"
    with pytest.raises(PlanFault, match=r"problem\.kind: 'torch' " + advice):
        catalog.build(room, {"kind": "torch", "model": "nowhere:nothing"}, "problem")
