from collections.abc import Sequence
from typing import ClassVar

import geometry_msgs.msg
import sensor_msgs.msg
import std_msgs.msg

from sim2arm_ros.dds.messages import Message

class CollisionIndicators(Message):
    is_cartesian_linear_collision: geometry_msgs.msg.Vector3
    is_cartesian_angular_collision: geometry_msgs.msg.Vector3
    is_cartesian_linear_contact: geometry_msgs.msg.Vector3
    is_cartesian_angular_contact: geometry_msgs.msg.Vector3
    is_joint_collision: Sequence[float]
    is_joint_contact: Sequence[float]
    def __init__(
        self,
        *,
        is_cartesian_linear_collision: geometry_msgs.msg.Vector3 = ...,
        is_cartesian_angular_collision: geometry_msgs.msg.Vector3 = ...,
        is_cartesian_linear_contact: geometry_msgs.msg.Vector3 = ...,
        is_cartesian_angular_contact: geometry_msgs.msg.Vector3 = ...,
        is_joint_collision: Sequence[float] = ...,
        is_joint_contact: Sequence[float] = ...,
    ) -> None: ...

class Elbow(Message):
    position: Sequence[float]
    desired_position: Sequence[float]
    commanded_position: Sequence[float]
    commanded_velocity: Sequence[float]
    commanded_acceleration: Sequence[float]
    def __init__(
        self,
        *,
        position: Sequence[float] = ...,
        desired_position: Sequence[float] = ...,
        commanded_position: Sequence[float] = ...,
        commanded_velocity: Sequence[float] = ...,
        commanded_acceleration: Sequence[float] = ...,
    ) -> None: ...

class Errors(Message):
    joint_position_limits_violation: bool
    cartesian_position_limits_violation: bool
    self_collision_avoidance_violation: bool
    joint_velocity_violation: bool
    cartesian_velocity_violation: bool
    force_control_safety_violation: bool
    joint_reflex: bool
    cartesian_reflex: bool
    max_goal_pose_deviation_violation: bool
    max_path_pose_deviation_violation: bool
    cartesian_velocity_profile_safety_violation: bool
    joint_position_motion_generator_start_pose_invalid: bool
    joint_motion_generator_position_limits_violation: bool
    joint_motion_generator_velocity_limits_violation: bool
    joint_motion_generator_velocity_discontinuity: bool
    joint_motion_generator_acceleration_discontinuity: bool
    cartesian_position_motion_generator_start_pose_invalid: bool
    cartesian_motion_generator_elbow_limit_violation: bool
    cartesian_motion_generator_velocity_limits_violation: bool
    cartesian_motion_generator_velocity_discontinuity: bool
    cartesian_motion_generator_acceleration_discontinuity: bool
    cartesian_motion_generator_elbow_sign_inconsistent: bool
    cartesian_motion_generator_start_elbow_invalid: bool
    cartesian_motion_generator_joint_position_limits_violation: bool
    cartesian_motion_generator_joint_velocity_limits_violation: bool
    cartesian_motion_generator_joint_velocity_discontinuity: bool
    cartesian_motion_generator_joint_acceleration_discontinuity: bool
    cartesian_position_motion_generator_invalid_frame: bool
    force_controller_desired_force_tolerance_violation: bool
    controller_torque_discontinuity: bool
    start_elbow_sign_inconsistent: bool
    communication_constraints_violation: bool
    power_limit_violation: bool
    joint_p2p_insufficient_torque_for_planning: bool
    tau_j_range_violation: bool
    instability_detected: bool
    def __init__(
        self,
        *,
        joint_position_limits_violation: bool = ...,
        cartesian_position_limits_violation: bool = ...,
        self_collision_avoidance_violation: bool = ...,
        joint_velocity_violation: bool = ...,
        cartesian_velocity_violation: bool = ...,
        force_control_safety_violation: bool = ...,
        joint_reflex: bool = ...,
        cartesian_reflex: bool = ...,
        max_goal_pose_deviation_violation: bool = ...,
        max_path_pose_deviation_violation: bool = ...,
        cartesian_velocity_profile_safety_violation: bool = ...,
        joint_position_motion_generator_start_pose_invalid: bool = ...,
        joint_motion_generator_position_limits_violation: bool = ...,
        joint_motion_generator_velocity_limits_violation: bool = ...,
        joint_motion_generator_velocity_discontinuity: bool = ...,
        joint_motion_generator_acceleration_discontinuity: bool = ...,
        cartesian_position_motion_generator_start_pose_invalid: bool = ...,
        cartesian_motion_generator_elbow_limit_violation: bool = ...,
        cartesian_motion_generator_velocity_limits_violation: bool = ...,
        cartesian_motion_generator_velocity_discontinuity: bool = ...,
        cartesian_motion_generator_acceleration_discontinuity: bool = ...,
        cartesian_motion_generator_elbow_sign_inconsistent: bool = ...,
        cartesian_motion_generator_start_elbow_invalid: bool = ...,
        cartesian_motion_generator_joint_position_limits_violation: bool = ...,
        cartesian_motion_generator_joint_velocity_limits_violation: bool = ...,
        cartesian_motion_generator_joint_velocity_discontinuity: bool = ...,
        cartesian_motion_generator_joint_acceleration_discontinuity: bool = ...,
        cartesian_position_motion_generator_invalid_frame: bool = ...,
        force_controller_desired_force_tolerance_violation: bool = ...,
        controller_torque_discontinuity: bool = ...,
        start_elbow_sign_inconsistent: bool = ...,
        communication_constraints_violation: bool = ...,
        power_limit_violation: bool = ...,
        joint_p2p_insufficient_torque_for_planning: bool = ...,
        tau_j_range_violation: bool = ...,
        instability_detected: bool = ...,
    ) -> None: ...

class FrankaRobotState(Message):
    ROBOT_MODE_OTHER: ClassVar[int]
    ROBOT_MODE_IDLE: ClassVar[int]
    ROBOT_MODE_MOVE: ClassVar[int]
    ROBOT_MODE_GUIDING: ClassVar[int]
    ROBOT_MODE_REFLEX: ClassVar[int]
    ROBOT_MODE_USER_STOPPED: ClassVar[int]
    ROBOT_MODE_AUTOMATIC_ERROR_RECOVERY: ClassVar[int]
    header: std_msgs.msg.Header
    collision_indicators: CollisionIndicators
    measured_joint_state: sensor_msgs.msg.JointState
    desired_joint_state: sensor_msgs.msg.JointState
    measured_joint_motor_state: sensor_msgs.msg.JointState
    ddq_d: Sequence[float]
    dtau_j: Sequence[float]
    tau_ext_hat_filtered: sensor_msgs.msg.JointState
    elbow: Elbow
    k_f_ext_hat_k: geometry_msgs.msg.WrenchStamped
    o_f_ext_hat_k: geometry_msgs.msg.WrenchStamped
    inertia_ee: geometry_msgs.msg.InertiaStamped
    inertia_load: geometry_msgs.msg.InertiaStamped
    inertia_total: geometry_msgs.msg.InertiaStamped
    o_t_ee: geometry_msgs.msg.PoseStamped
    o_t_ee_d: geometry_msgs.msg.PoseStamped
    o_t_ee_c: geometry_msgs.msg.PoseStamped
    f_t_ee: geometry_msgs.msg.PoseStamped
    ee_t_k: geometry_msgs.msg.PoseStamped
    o_dp_ee_d: geometry_msgs.msg.TwistStamped
    o_dp_ee_c: geometry_msgs.msg.TwistStamped
    o_ddp_ee_c: geometry_msgs.msg.AccelStamped
    time: float
    control_command_success_rate: float
    robot_mode: int
    current_errors: Errors
    last_motion_errors: Errors
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        collision_indicators: CollisionIndicators = ...,
        measured_joint_state: sensor_msgs.msg.JointState = ...,
        desired_joint_state: sensor_msgs.msg.JointState = ...,
        measured_joint_motor_state: sensor_msgs.msg.JointState = ...,
        ddq_d: Sequence[float] = ...,
        dtau_j: Sequence[float] = ...,
        tau_ext_hat_filtered: sensor_msgs.msg.JointState = ...,
        elbow: Elbow = ...,
        k_f_ext_hat_k: geometry_msgs.msg.WrenchStamped = ...,
        o_f_ext_hat_k: geometry_msgs.msg.WrenchStamped = ...,
        inertia_ee: geometry_msgs.msg.InertiaStamped = ...,
        inertia_load: geometry_msgs.msg.InertiaStamped = ...,
        inertia_total: geometry_msgs.msg.InertiaStamped = ...,
        o_t_ee: geometry_msgs.msg.PoseStamped = ...,
        o_t_ee_d: geometry_msgs.msg.PoseStamped = ...,
        o_t_ee_c: geometry_msgs.msg.PoseStamped = ...,
        f_t_ee: geometry_msgs.msg.PoseStamped = ...,
        ee_t_k: geometry_msgs.msg.PoseStamped = ...,
        o_dp_ee_d: geometry_msgs.msg.TwistStamped = ...,
        o_dp_ee_c: geometry_msgs.msg.TwistStamped = ...,
        o_ddp_ee_c: geometry_msgs.msg.AccelStamped = ...,
        time: float = ...,
        control_command_success_rate: float = ...,
        robot_mode: int = ...,
        current_errors: Errors = ...,
        last_motion_errors: Errors = ...,
    ) -> None: ...

class GraspEpsilon(Message):
    inner: float
    outer: float
    def __init__(self, *, inner: float = ..., outer: float = ...) -> None: ...
