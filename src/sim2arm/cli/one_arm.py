"""One arm behind controller and gate as an environment: what learning on a robot has.

It acts in real time, or as fast as it goes, in a box if one is given; a person with a device may
take over, and may say by a key how an episode ended; where the device falls silent the arm stands.
What the gate stops is the end of an episode. Between episodes it comes back by a routine of its
own, or is put there.
"""

# pyright: standard

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sim2arm.core.contract import Contract
from sim2arm.core.derive import Derivation
from sim2arm.core.gripper import element_of
from sim2arm.core.tick_history import TickHistory
from sim2arm.core.tool_box import ToolBox
from sim2arm.sensors.teleop.person import TeleopCfg
from sim2arm.sim.arm import SimulatedArm
from sim2arm_ros.intervention import Intervention

from .arm_options import RealArm
from .drive import Drive
from .judging import Judge
from .pace import Pace
from .reset_routine import LONGEST, InProcess, ResetError, ResetRoutine, load_routine

LOST = ("lost", "physics diverged")
"""How episodes end, as `SimulatedArm.endings` says it, that have no future."""


@dataclass(frozen=True, kw_only=True)
class OnlineCfg:
    """Learning on one arm, with acting and updates in processes of their own."""

    on: bool = False
    """Whether one arm acts behind controller and gate while a process beside it learns."""
    where: Literal["process", "sim", "robot"] = "process"
    """process: the simulated arm in this process; sim: through ROS nodes in front of a simulated
    arm; robot: through ROS nodes in front of a robot."""
    arm: RealArm = field(default_factory=RealArm)
    """robot: which one."""
    real_time: bool = True
    """Whether ticks wait for their deadlines, as on a robot."""
    device: str = ""
    """Who may take over: a device of `sim2arm list` as NAME or NAME:WHERE; nobody if empty."""
    script: str = ""
    """File of steps that the device script plays, YAML; its time begins when it is opened, before
    the nodes of where sim and robot are up."""
    teleop: TeleopCfg = field(default_factory=TeleopCfg)
    """How the arm follows a device."""
    judge: str = "task"
    """Who says that an episode succeeded: task, key (the device's keep and discard), or a file of
    `sim2arm judge`, whatever the task says then."""
    box: tuple[float, ...] = ()
    """Box that the commanded position of the tool stays in, least x y z, then greatest, in the base
    frame [m]; the gate's alone if empty."""
    routine: str = ""
    """File of steps by which the arm comes back between episodes (`reset_routine`), YAML; things
    stay where they are then. If empty, episodes are put at their start."""

    def __post_init__(self) -> None:
        """Refuse settings that do not go together."""
        if self.box:
            ToolBox(self.box)
        if self.judge not in ("task", "key") and Path(self.judge).suffix != ".safetensors":
            raise ValueError(f"judge: expected task, key or a file .safetensors, got {self.judge}")
        given = {"box": self.box, "routine": self.routine, "device": self.device}
        given["judge"] = self.judge != "task"
        given["where"] = self.where != "process"
        if not self.on and any(given.values()):
            name = next(name for name, value in given.items() if value)
            raise ValueError(f"{name}: it is of learning on one arm: add --online.on")
        if self.judge == "key" and not self.device:
            raise ValueError("judge: a key needs a device")
        if self.script and self.device != "script":
            raise ValueError("script: only the device script plays one")
        if self.device == "script" and not self.script:
            raise ValueError("device: script plays a file of steps: add --online.script FILE")
        self._check_where()

    def _check_where(self) -> None:
        if self.where != "robot" and self.arm != RealArm():
            raise ValueError(
                f"arm: it says which robot: expected --online.where robot with it, got {self.where}"
            )
        if self.where == "robot":
            needed = {"--online.real-time": self.real_time, "--online.routine FILE": self.routine}
            needed["--online.judge key, or a file of sim2arm judge"] = self.judge != "task"
            missing = [option for option, given in needed.items() if not given]
            if missing:
                raise ValueError(f"where robot: add {'; '.join(missing)}")
        if self.where == "sim" and not self.real_time and (self.device or self.routine):
            raise ValueError(
                "where sim: a simulated arm that waits for commands has neither device nor routine"
            )


Outcome = tuple[dict[str, Tensor], Tensor, Tensor, Tensor, dict[str, Any]]
"""What a step of an environment returns: see `policies.base.Env`."""


class OneWorld(ABC):
    """What environments of one arm have in common; see `policies.base.Env`.

    Info holds besides what was done, `action` (1, A), and `taken_over` (1,) bool: after this step a
    person took over.

    Attributes:
        num_envs: one.
        action_dim: elements of an action.
        groups: what the policy sees; nobody knows the truth.
        device: where observations live.
        pace: of the ticks.
        interventions: how often a person took over.
    """

    num_envs = 1
    device = torch.device("cpu")

    def __init__(self, contract: Contract, names: list[str], pace: Pace, seed: int) -> None:
        """Begin to draw episodes from a seed."""
        self.action_dim, self.groups = contract.action.dim, {"actor": names, "critic": names}
        self.pace, self.interventions = pace, 0
        self._seeds = torch.Generator().manual_seed(seed)
        self._broken: ResetError | KeyboardInterrupt | None = None

    @abstractmethod
    def reset(self) -> dict[str, Tensor]:
        """Begin an episode; return what is seen first."""

    @abstractmethod
    def step(self, action: Tensor) -> Outcome:
        """Act for a control period: what the policy says (1, A), or a person who has taken over."""

    def _next_seed(self) -> int:
        return int(torch.randint(2**31 - 1, (1,), generator=self._seeds))

    def _outcome(
        self,
        done: NDArray[np.float32],
        last: dict[str, Tensor],
        said: tuple[bool, bool, bool],
        *,
        diverged: bool,
        taken: bool,
        begin: Callable[[], dict[str, Tensor]],
    ) -> Outcome:
        """Return what a step returns.

        Args:
            done: what was done (1, A).
            last: what is seen after it.
            said: by the judge: success, terminated, truncated.
            diverged: the physics did.
            taken: after this step a person took over.
            begin: begins another episode, where this one is over. What keeps it from that is raised
                by the next step, so that this one is not lost.
        """
        success, terminated, truncated = said
        flags = {name: torch.tensor([value]) for name, value in {
            "success": success, "diverged": diverged, "taken_over": taken,
        }.items()}  # fmt: skip
        info = {"final_obs": last, "reward_terms": {}, "action": torch.from_numpy(done)} | flags
        obs = last
        if terminated or truncated:
            try:
                obs = begin()
            except (ResetError, KeyboardInterrupt) as error:
                self._broken = error
        both = torch.tensor([terminated]), torch.tensor([truncated])
        return obs, flags["success"].float(), *both, info

    @abstractmethod
    def rest(self) -> None:
        """Let the arm stand: nobody acts any more."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state of the stream that episodes are drawn from."""
        return {"generator": self._seeds.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on drawing where another stood."""
        self._seeds.set_state(state["generator"])

    def desynchronise(self) -> None:  # noqa: B027 - one episode needs nothing
        """Leave the only episode as it is."""


class OneArm(OneWorld):
    """The simulated arm of this process."""

    def __init__(
        self,
        arm: SimulatedArm,
        contract: Contract,
        names: list[str],
        cfg: OnlineCfg,
        *,
        seed: int,
        most: int,
        person: Intervention | None = None,
        now_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        """Stand ready.

        Args:
            arm: one arm.
            contract: of the policy's actions.
            names: of what the policy sees.
            cfg: how it acts.
            seed: of the episodes.
            most: ticks of an episode that the task does not end.
            person: who may take over.
            now_ns: the clock of the device [ns].

        Raises:
            OSError, ValueError: the routine or the judge is none; one line.
        """
        super().__init__(contract, names, Pace(contract.period, real_time=cfg.real_time), seed)
        self._arm, self._contract, self._most = arm, contract, most
        self._person, self._now_ns = person, now_ns
        self._human = False  # a person acts in the step to come
        self._derivation = Derivation(contract)
        self._history = TickHistory(self._derivation.sampled)
        self._box = ToolBox(cfg.box) if cfg.box else None
        self._routine = None
        if cfg.routine:
            steps = load_routine(Path(cfg.routine), contract)
            self._routine = ResetRoutine(steps, contract, arm.robot)
        self._begun = False
        self._judge = Judge(cfg.judge, _seen_by_judge(arm, arm.measured()))

    def reset(self) -> dict[str, Tensor]:
        """Put the arm at the start of an episode; or let it come back by its routine.

        Raises:
            ResetError: it did not.
        """
        arm = self._arm
        seed = self._next_seed()
        # Before the first episode nothing is anywhere yet; physics that diverged put it elsewhere.
        routine = self._routine if self._begun and not arm.diverged[0] else None
        if routine is not None:
            self._come_to_rest()
            routine.run(InProcess(arm, self.pace.wait), self._stop)
        if routine is None or arm.world.diverged[0]:
            arm.reset(seed)
            self._drive = Drive(arm, self._contract)
        else:
            arm.go_on(seed)
            self._drive = Drive(arm, self._contract, q=arm.desired()[0])
        self._begun = True
        self._judge.reset()
        self._history.reset()
        if self._person is not None:
            spec, element = self._contract.gripper, 1.0
            if spec is not None and self._contract.grips:
                element = element_of(spec, float(arm.gripper_width()[0]))
            self._person.begin(self._drive.wanted()[0], element)
            self._look(self._person)
        self.pace.rest()
        return self._observe()

    def step(self, action: Tensor) -> Outcome:
        """Act for a control period: what the policy says (1, A), or a person who has taken over."""
        if self._broken is not None:
            raise self._broken
        arm, asked = self._arm, action[0].numpy()
        if self._person is not None:
            asked, _ = self._person.choose(asked)
        done_now = self._inside(np.clip(asked, -1.0, 1.0)[None]).astype(np.float32)
        self._drive.command(done_now, self._measured["joint_position"])
        arm.step()
        self.pace.wait()
        presses: tuple[str, ...] = ()
        taken = False
        if self._person is not None:
            taken = self._look(self._person)
            presses = self._person.ask.presses
            self.interventions += taken
        last = self._observe()
        how = arm.endings()[0]
        cut = how == "time up" or arm.ticks >= self._most or bool(self._drive.held[0])
        said = self._judge.say(
            presses, _seen_by_judge(arm, self._measured), won=how == "success", lost=how in LOST,
            cut=cut,
        )  # fmt: skip
        at_once = how == "lost" and arm.ticks == 1
        return self._outcome(
            done_now, last, said, diverged=bool(arm.diverged[0]), taken=taken,
            begin=self._put_back if at_once else self.reset,
        )  # fmt: skip

    def _put_back(self) -> dict[str, Tensor]:
        """Begin another episode, where the task was lost by the one that began."""
        if self._routine is not None:
            raise ResetError("the task was lost where an episode began: put things back")
        return self.reset()

    def rest(self) -> None:
        """Leave the arm: its time passes by steps alone."""

    def _inside(self, action: NDArray[Any]) -> NDArray[Any]:
        """Return an action (1, A) that stays in the box."""
        if self._box is None:
            return action
        scale = self._contract.action.scale[0]
        return self._box.keep(action.astype(np.float64), self._drive.tools()[:, :3], scale)

    def _come_to_rest(self) -> None:
        """Let the arm do the stop that the gate approved last, until it stands."""
        arm, waited = self._arm, 0.0
        while np.abs(arm.desired()[1]).max() > 0.0:
            arm.step()
            self.pace.wait()
        while self._stop():  # whoever ended the episode may still have the arm in their hand
            arm.step()
            self.pace.wait()
            waited += arm.period
            if waited > LONGEST:
                raise ResetError(f"for {LONGEST:.0f} s after an episode: {self._stop()}")

    def _stop(self) -> str:
        """Return why the arm must not move by itself, or an empty string."""
        if self._person is None:
            return ""
        self._look(self._person)
        if not self._person.acts:
            return ""
        return "a person has the arm" if self._human else self._person.ask.why

    def _observe(self) -> dict[str, Tensor]:
        """Return what the policy sees (1, ...)."""
        self._measured = self._arm.measured()
        sampled = {
            spec.name: self._measured[spec.name].astype(spec.dtype, copy=False)
            for spec in self._derivation.sampled
        }
        seen: dict[str, NDArray[Any]] = self._derivation.complete(self._history.add(sampled))
        return {name: torch.from_numpy(seen[name].copy()) for name in self.groups["actor"]}

    def _look(self, person: Intervention) -> bool:
        """See what a person asks for; return whether they take over."""
        person.look(self._now_ns(), self._arm.tool_pose()[0, 3:], self._drive.wanted()[0])
        before, self._human = self._human, person.acts and person.ask.state == "engaged"
        return self._human and not before


def _seen_by_judge(
    arm: SimulatedArm, measured: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Return what demonstrations hold of an arm (1, ...), by the names that they have."""
    return {**measured, "ee_pose": arm.tool_pose()}
