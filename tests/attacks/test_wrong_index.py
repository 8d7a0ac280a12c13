from __future__ import annotations

import numpy as np
import pytest

from mpirobust.attacks.wrong_index import WrongIndex
from mpirobust.compressors._sparse import position_nbytes
from mpirobust.compressors.base import Compressor
from mpirobust.compressors.identity import Identity
from mpirobust.compressors.qsgd import QSGD
from mpirobust.compressors.randomk import RandomK
from mpirobust.compressors.rotated import Rotated
from mpirobust.compressors.terngrad import TernGrad
from mpirobust.compressors.topk import TopK
from mpirobust.compressors.vqsgd import VQSGD
from mpirobust.testing.support.attack_rounds import Round, vectors
from mpirobust.types import Norm

DIM = 123
# The bytes that are left as they are.
NUMBERS: dict[str, tuple[Compressor, slice]] = {
    "topk": (TopK(k=20), slice(position_nbytes(DIM, 20), None)),
    "vqsgd": (VQSGD(samples=100), slice(0, 4)),
    "qsgd": (QSGD(levels=16), slice(0, 4)),
    "terngrad": (TernGrad(), slice(0, 4)),
    "rotated": (Rotated(levels=11), slice(0, 8)),
}


@pytest.mark.parametrize("claimed", [False, True], ids=["II", "I"])
@pytest.mark.parametrize("name", NUMBERS)
def test_the_numbers_stay_and_nothing_else_does(name: str, claimed: bool) -> None:
    compressor, numbers = NUMBERS[name]
    game = Round(WrongIndex(alpha=0.4), vectors(20, DIM), compressor, Norm(2.0, claimed))
    sent, lead = game.forged(), 8 * claimed
    for worker in game.config.byzantine:
        due, got = bytes(game.due[worker]), bytes(sent[worker])
        assert got[:lead] == due[:lead]
        assert got[lead:][numbers] == due[lead:][numbers]
        rest = np.ones(len(due) - lead, bool)
        rest[numbers] = False
        assert set(np.frombuffer(got, np.uint8)[lead:][rest]) == {0xFF}
    assert not game.inbox(sent).sound[game.config.byzantine].any()


@pytest.mark.parametrize("compressor", [Identity(), Identity(dtype="float32"), RandomK(k=7)])
def test_a_code_of_numbers_alone_is_left(compressor: Compressor) -> None:
    game = Round(WrongIndex(alpha=0.4), vectors(20, DIM), compressor)
    assert game.forged() == game.due
