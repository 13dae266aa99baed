"""How right a model was on several choices at once, seen as one choice among all their combinations.

A span is two choices, its start and its end; a question in W windows is 2 W of them. The model's distribution over
combinations is the product of those of the choices, and its logit their sum. So every number that a record holds means
what it means for one choice:

    true_prob  the probability of the right combination: the product of those of the right choices, exp(-sum of losses)
    margin     its logit minus the largest of any other combination: the smallest of the margins of the choices if all
               are right, else the sum of those that are negative
    el2n       ||p - onehot||_2 over all combinations, in 0..sqrt(2)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hprune.tasks.spec import Judgement


def judge_jointly(logits: Tensor, target: Tensor, owner: Tensor, samples: int) -> Judgement:
    """Judge samples that are right iff every one of their choices is (the first of equal logits counts).

    The EL2N is computed without the combinations. With a_k the probability of the right choice k and r_k the sum of
    squares of the others, ||p - onehot||^2 = prod_k (a_k^2 + r_k) - prod_k a_k^2 + (1 - prod_k a_k)^2.

    Args:
        logits: (M, L, C), C choices among L positions in each of M sequences.
        target: (M, C) int64, the right positions.
        owner: (M,) int64 in 0..B-1, the sample that each sequence belongs to.
        samples: B.
    """
    logits = logits.detach().float()
    at = target[:, None]  # (M, 1, C)
    own, others = logits.gather(1, at)[:, 0], logits.scatter(1, at, -torch.inf)
    log_true = -F.softplus(others.logsumexp(dim=1) - own)  # (M, C), log a_k, with all its digits where a_k is near 1
    rest = logits.log_softmax(dim=1).scatter(1, at, -torch.inf)
    log_rest = (2 * rest).logsumexp(dim=1)  # (M, C), log r_k
    margin = own - others.amax(dim=1)
    right = (logits.argmax(dim=1) == target).all(dim=1)

    def over_sample(values: Tensor, how: str, start: float) -> Tensor:
        """Reduce (M,) to (B,)."""
        return values.new_full((samples,), start).scatter_reduce(0, owner, values, reduce=how)

    wrong_by = over_sample(margin.clamp(max=0).sum(dim=1), "sum", 0.0)
    right_by = over_sample(margin.amin(dim=1), "amin", torch.inf)
    log_joint = over_sample(log_true.sum(dim=1), "sum", 0.0)
    log_square = over_sample(torch.logaddexp(2 * log_true, log_rest).sum(dim=1), "sum", 0.0)
    surplus = over_sample(_log1p_exp(log_rest - 2 * log_true).sum(dim=1), "sum", 0.0)
    squares = log_square.exp() * -torch.expm1(-surplus)  # prod (a^2 + r) - prod a^2, without cancelling
    return Judgement(
        correct=over_sample(right.float(), "amin", 1.0) > 0.5,
        true_prob=log_joint.exp(),
        margin=torch.where(wrong_by < 0, wrong_by, right_by),
        el2n=(squares + torch.expm1(log_joint).square()).sqrt(),
    )


def _log1p_exp(values: Tensor) -> Tensor:
    return torch.logaddexp(values, torch.zeros_like(values))
