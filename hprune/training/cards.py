"""Which GPU a process trains on, where several runs train at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import torch

from hprune.training.settings import accelerator_of
from hprune.training.spec import TrainerSpec

VISIBLE = "CUDA_VISIBLE_DEVICES"


def cards_for(trainer: TrainerSpec) -> list[str]:
    """The names of the GPUs that runs can be spread over: none on other devices, or if each run takes several."""
    if accelerator_of(trainer) != "cuda" or trainer.devices != 1:
        return []
    return card_names(os.environ.get(VISIBLE), torch.cuda.device_count())


def card_names(visible: str | None, number: int) -> list[str]:
    """So many GPUs as the environment names them: by what it shows of them already, or by number.

    Example:
        >>> card_names(None, 2), card_names("3,GPU-8f", 2)
        (['0', '1'], ['3', 'GPU-8f'])
    """
    names = [str(card) for card in range(number)] if visible is None else visible.split(",")
    return [name.strip() for name in names][:number]


def environments(processes: int, cards: Sequence[str]) -> list[Mapping[str, str]]:
    """The variables of each process, that show it one card: in turns, so that cards have equally many to host.

    Example:
        >>> [environment["CUDA_VISIBLE_DEVICES"] for environment in environments(4, ["0", "1"])]
        ['0', '1', '0', '1']
    """
    return [{VISIBLE: cards[process % len(cards)]} if cards else {} for process in range(processes)]
