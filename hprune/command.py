"""What the commands share: where the configuration lies, how a failure is told, how a config becomes typed values."""

from __future__ import annotations

import functools
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from hprune.data.checks import check_number, check_seed, check_seeds
from hprune.help import asks_for_help, help_page
from hprune.launcher import check_launcher
from hprune.model_name import name_the_model
from hprune.overrides import overrides_of, value_of
from hprune.reporting.outcomes import told
from hprune.reporting.visible import visible
from hprune.science.tickets import seeds_of_tickets
from hprune.storage.places import check_stays, keep_below, local_path, nearest, writable
from hprune.sweep import sweep_told
from hprune.tickets import ticket_groups

if TYPE_CHECKING:  # torch is imported when a command has checked its config, not before
    from hprune.training.settings import RunSpec

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).parent
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"  # in a wheel, or in a checkout


def command(config_name: str, *, reads: bool = False) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Make a function of a config a command: Hydra composes, a failure that a user can mend is one message, exit 1.

    HYDRA_FULL_ERROR=1 shows the traceback. What the function returns is its outcome in the table of a sweep. A command
    that `reads` works where results cannot be written; what it may write there nevertheless, it checks itself.
    """

    def decorate(function: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)
        @functools.wraps(function)
        def run(cfg: DictConfig) -> Any:
            try:
                name_the_model(cfg)
                return function(cfg)
            except SystemExit as leaving:
                if leaving.code != 1:  # of a launcher that submits the job again
                    raise
                raise KeyboardInterrupt from None  # what Lightning makes of Ctrl-C
            except (MissingMandatoryValue, ConfigAttributeError, ConfigKeyError) as error:  # ~KEY took it out
                _fail(config_name, ValueError(f"{error.full_key} must be given, as in {error.full_key}=VALUE"))
            except (ValueError, OSError, FloatingPointError, MemoryError, OmegaConfBaseException) as error:
                _fail(config_name, error)

        @functools.wraps(function)
        def main() -> None:
            arguments = sys.argv[1:]
            overrides = _overrides(config_name, arguments)
            if asks_for_help(arguments):
                sys.stdout.write(help_page(CONF, config_name, [a for a in arguments if not a.startswith("-")]) + "\n")
                return
            _check_root(arguments, overrides, reads=reads)
            try:
                check_launcher(arguments)
            except ValueError as error:
                sys.exit(f"hprune {config_name}: {error}")
            with _interrupts_told(), sweep_told():
                run()

        return main

    return decorate


@contextmanager
def _interrupts_told() -> Iterator[None]:
    """What a batch system sends before it kills (SIGTERM) ends a command as Ctrl-C does: in one line, nothing lost."""
    received = signal.SIGINT

    def terminate(*_: Any) -> None:
        nonlocal received
        received = signal.SIGTERM
        raise KeyboardInterrupt

    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, terminate) if in_main_thread else None
    try:
        yield
    except KeyboardInterrupt:
        what = "interrupted" if received == signal.SIGINT else "terminated"
        sys.stderr.write(f"\n{what}; the same command continues where it stopped\n")
        sys.exit(128 + received)
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, before)


def _nobody_reads() -> bool:
    """Whether standard output is a pipe whose reader has left, as `head` does when it has enough."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _fail(name: str, error: Exception) -> None:
    """Tell a failure that a user can mend; in a sweep the other jobs go on, and Hydra raises the first at the end."""
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is flushed at the end
        sys.exit(128 + signal.SIGPIPE)
    text = visible(told(error))
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        raise error
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        log.error("%s", text)
        raise CompactHydraException(f"hprune {name}: {text}") from error
    sys.exit(f"hprune {name}: {text}")


def _overrides(config_name: str, arguments: list[str]) -> list[Override]:
    try:
        return overrides_of(arguments)
    except ValueError as error:
        sys.exit(visible(f"hprune {config_name}: {error}"))


def _check_root(arguments: list[str], overrides: Sequence[Override], *, reads: bool) -> None:
    """Hydra makes the folder of a sweep before our code runs: say what is wrong with it, if anything, in one line."""
    given = value_of(overrides, "paths.root")
    sweep = any(flag in arguments for flag in ("-m", "--multirun"))
    try:
        root = keep_below(local_path("multirun" if given is None else str(given), "paths.root"))
        if sweep:
            check_stays(root / "sweeps")
    except ValueError as error:
        sys.exit(str(error))
    if any(flag in arguments for flag in ("--help", "-h", "--cfg", "-c", "--info", "--hydra-help")):
        return
    there = nearest(root)
    if not there.is_dir() or not (writable(root) or (reads and not sweep)):
        what = "is not a folder" if not there.is_dir() else "cannot be written"
        sys.exit(f"results go under {root}, but {there} {what}; choose another place with paths.root=FOLDER")


def sweeps_here() -> bool:
    """Whether this process trains the runs of a sweep one after the other, as no launcher gives each a job."""
    hydra_config = HydraConfig.get()
    return hydra_config.mode == RunMode.MULTIRUN and hydra_config.launcher._target_.endswith("BasicLauncher")


def check_sections(cfg: DictConfig, *names: str) -> None:
    """Refuse a value where the config has a section.

    Raises:
        ValueError: naming the section and what came.
    """
    for name in names:
        if not isinstance(cfg.get(name), DictConfig):
            raise ValueError(f"{name} must hold keys of its own, as in {name}.KEY=VALUE, got {cfg.get(name)!r}")


def plain(cfg: Any) -> Any:
    """A config as plain, resolved values."""
    return OmegaConf.to_container(cfg, resolve=True) if OmegaConf.is_config(cfg) else cfg


def instantiate(cfg: Any) -> Any:
    """Build what `_target_` names, with lists and dicts as plain values.

    Raises:
        ValueError: the message of whatever refused its values.
    """
    try:
        return hydra.utils.instantiate(cfg, _convert_="all")
    except hydra.errors.InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, (ValueError, TypeError, OSError)):
            raise ValueError(str(cause)) from error
        raise


def _types() -> dict[str, type]:
    """What the groups that a run is composed of build."""
    from hprune.data.datamodule import DataSpec
    from hprune.science.subset import SubsetSpec
    from hprune.tasks.spec import TaskSpec
    from hprune.training.spec import ModelSpec, OptimSpec, RecordSpec, TrainerSpec

    parts = {"task": TaskSpec, "model": ModelSpec, "optim": OptimSpec, "data": DataSpec, "trainer": TrainerSpec}
    return parts | {"record": RecordSpec, "subset": SubsetSpec}


def margin_of(cfg: DictConfig) -> float | str | None:
    """How much of the metric two arms may differ in and still be called equivalent, said before they are compared.

    Returns:
        A number, `auto` (found and fixed before the first comparison run), or None: no margin.

    Raises:
        ValueError: if it is none of these.
    """
    if "comparison" not in cfg:  # the stored config of an older run
        return None
    check_sections(cfg, "comparison")
    margin: float | str | None = cfg.comparison.get("margin")
    if margin is not None and margin != "auto":
        rule = "a number above 0 and below 1, in the metric's own unit (0.01 is one point of accuracy), or auto"
        check_number("comparison.margin", margin, rule=rule, open_low=True, high=1.0)
    return margin


def comparison_of(cfg: DictConfig) -> dict[str, Any]:
    """What a run's stored config says about the comparison: the margin, and whose ticket its seed belongs to.

    Args:
        cfg: of a command; or the stored one of a run, which says this already, and has no scoring seeds.

    Raises:
        ValueError: naming the key that is not what it should be.
    """
    stored: dict[str, Any] = {"margin": margin_of(cfg)}
    if "comparison" in cfg and cfg.comparison.get("allow_seed_overlap"):
        stored["allow_seed_overlap"] = True
    asked = plain(cfg.comparison.get("tickets")) if "comparison" in cfg else None
    if asked is not None:
        seeds, groups = plain(cfg.comparison.get("seeds")), asked
        if "scoring" in cfg:
            groups = ticket_groups(asked, check_seeds(plain(cfg.scoring.seeds), "scoring.seeds"))
            seeds_of_tickets(check_seeds(seeds, "comparison.seeds"), len(groups))
        stored |= {"tickets": groups, "seeds": seeds}
    return stored


def _check_storable(key: str, value: Any) -> None:
    """Refuse a text that would be an interpolation in the stored config, which holds plain values.

    Raises:
        ValueError: naming its key.
    """
    if isinstance(value, str) and "${" in value:
        raise ValueError(
            f"{key}={value!r} holds ${{, which a stored config cannot: "
            "give a column by its place (task.text=[@1], task.label=@2), rename a file"
        )
    inner = (
        value.items() if isinstance(value, dict) else ((key, one) for one in value) if isinstance(value, list) else ()
    )
    for name, one in inner:
        _check_storable(f"{key}.{name}".lstrip(".") if isinstance(value, dict) else name, one)


def run_spec(cfg: DictConfig, *, subset: DictConfig | None = None, seed: int | None = None) -> RunSpec:
    """The typed description of one run; `subset` and `seed` replace those of the config."""
    subset = cfg.subset if subset is None else subset
    seed = cfg.seed if seed is None else seed
    if type(seed) is not int or seed < 0:
        raise ValueError(f"seed must be a whole number from 0, got {seed!r}; for several runs use -m and seed=1,2,3")
    check_seed("seed", seed)
    parts = ("task", "model", "optim", "data", "trainer", "record")
    config = {part: plain(cfg[part]) for part in parts} | {"subset": plain(subset), "seed": seed, "study": cfg.study}
    config["comparison"] = comparison_of(cfg)
    _check_storable("", config)

    from hprune.training.settings import RunSpec

    made = {part: instantiate(cfg[part]) for part in parts} | {"subset": instantiate(subset)}
    for part, kind in _types().items():
        if not isinstance(made[part], kind):
            raise ValueError(f"{part} must be an option of the group {part}, got {str(made[part])[:80]!r}")
    optim, pruned = made["optim"], made["subset"].select is not None
    rate = optim.lr if optim.pruned_lr is None or not pruned else optim.pruned_lr
    return RunSpec(**made | {"optim": replace(optim, lr=rate, pruned_lr=None)}, seed=seed, config=config)
