from collections.abc import Sequence

import std_msgs.msg

from sim2arm_ros.dds.messages import Message

class Accel(Message):
    linear: Vector3
    angular: Vector3
    def __init__(self, *, linear: Vector3 = ..., angular: Vector3 = ...) -> None: ...

class AccelStamped(Message):
    header: std_msgs.msg.Header
    accel: Accel
    def __init__(self, *, header: std_msgs.msg.Header = ..., accel: Accel = ...) -> None: ...

class AccelWithCovariance(Message):
    accel: Accel
    covariance: Sequence[float]
    def __init__(self, *, accel: Accel = ..., covariance: Sequence[float] = ...) -> None: ...

class AccelWithCovarianceStamped(Message):
    header: std_msgs.msg.Header
    accel: AccelWithCovariance
    def __init__(
        self, *, header: std_msgs.msg.Header = ..., accel: AccelWithCovariance = ...
    ) -> None: ...

class Inertia(Message):
    m: float
    com: Vector3
    ixx: float
    ixy: float
    ixz: float
    iyy: float
    iyz: float
    izz: float
    def __init__(
        self,
        *,
        m: float = ...,
        com: Vector3 = ...,
        ixx: float = ...,
        ixy: float = ...,
        ixz: float = ...,
        iyy: float = ...,
        iyz: float = ...,
        izz: float = ...,
    ) -> None: ...

class InertiaStamped(Message):
    header: std_msgs.msg.Header
    inertia: Inertia
    def __init__(self, *, header: std_msgs.msg.Header = ..., inertia: Inertia = ...) -> None: ...

class Point(Message):
    x: float
    y: float
    z: float
    def __init__(self, *, x: float = ..., y: float = ..., z: float = ...) -> None: ...

class Point32(Message):
    x: float
    y: float
    z: float
    def __init__(self, *, x: float = ..., y: float = ..., z: float = ...) -> None: ...

class PointStamped(Message):
    header: std_msgs.msg.Header
    point: Point
    def __init__(self, *, header: std_msgs.msg.Header = ..., point: Point = ...) -> None: ...

class Polygon(Message):
    points: list[Point32]
    def __init__(self, *, points: list[Point32] = ...) -> None: ...

class PolygonInstance(Message):
    polygon: Polygon
    id: int
    def __init__(self, *, polygon: Polygon = ..., id: int = ...) -> None: ...

class PolygonInstanceStamped(Message):
    header: std_msgs.msg.Header
    polygon: PolygonInstance
    def __init__(
        self, *, header: std_msgs.msg.Header = ..., polygon: PolygonInstance = ...
    ) -> None: ...

class PolygonStamped(Message):
    header: std_msgs.msg.Header
    polygon: Polygon
    def __init__(self, *, header: std_msgs.msg.Header = ..., polygon: Polygon = ...) -> None: ...

class Pose(Message):
    position: Point
    orientation: Quaternion
    def __init__(self, *, position: Point = ..., orientation: Quaternion = ...) -> None: ...

class Pose2D(Message):
    x: float
    y: float
    theta: float
    def __init__(self, *, x: float = ..., y: float = ..., theta: float = ...) -> None: ...

class PoseArray(Message):
    header: std_msgs.msg.Header
    poses: list[Pose]
    def __init__(self, *, header: std_msgs.msg.Header = ..., poses: list[Pose] = ...) -> None: ...

class PoseStamped(Message):
    header: std_msgs.msg.Header
    pose: Pose
    def __init__(self, *, header: std_msgs.msg.Header = ..., pose: Pose = ...) -> None: ...

class PoseWithCovariance(Message):
    pose: Pose
    covariance: Sequence[float]
    def __init__(self, *, pose: Pose = ..., covariance: Sequence[float] = ...) -> None: ...

class PoseWithCovarianceStamped(Message):
    header: std_msgs.msg.Header
    pose: PoseWithCovariance
    def __init__(
        self, *, header: std_msgs.msg.Header = ..., pose: PoseWithCovariance = ...
    ) -> None: ...

class Quaternion(Message):
    x: float
    y: float
    z: float
    w: float
    def __init__(
        self, *, x: float = ..., y: float = ..., z: float = ..., w: float = ...
    ) -> None: ...

class QuaternionStamped(Message):
    header: std_msgs.msg.Header
    quaternion: Quaternion
    def __init__(
        self, *, header: std_msgs.msg.Header = ..., quaternion: Quaternion = ...
    ) -> None: ...

class Transform(Message):
    translation: Vector3
    rotation: Quaternion
    def __init__(self, *, translation: Vector3 = ..., rotation: Quaternion = ...) -> None: ...

class TransformStamped(Message):
    header: std_msgs.msg.Header
    child_frame_id: str
    transform: Transform
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        child_frame_id: str = ...,
        transform: Transform = ...,
    ) -> None: ...

class Twist(Message):
    linear: Vector3
    angular: Vector3
    def __init__(self, *, linear: Vector3 = ..., angular: Vector3 = ...) -> None: ...

class TwistStamped(Message):
    header: std_msgs.msg.Header
    twist: Twist
    def __init__(self, *, header: std_msgs.msg.Header = ..., twist: Twist = ...) -> None: ...

class TwistWithCovariance(Message):
    twist: Twist
    covariance: Sequence[float]
    def __init__(self, *, twist: Twist = ..., covariance: Sequence[float] = ...) -> None: ...

class TwistWithCovarianceStamped(Message):
    header: std_msgs.msg.Header
    twist: TwistWithCovariance
    def __init__(
        self, *, header: std_msgs.msg.Header = ..., twist: TwistWithCovariance = ...
    ) -> None: ...

class Vector3(Message):
    x: float
    y: float
    z: float
    def __init__(self, *, x: float = ..., y: float = ..., z: float = ...) -> None: ...

class Vector3Stamped(Message):
    header: std_msgs.msg.Header
    vector: Vector3
    def __init__(self, *, header: std_msgs.msg.Header = ..., vector: Vector3 = ...) -> None: ...

class VelocityStamped(Message):
    header: std_msgs.msg.Header
    body_frame_id: str
    reference_frame_id: str
    velocity: Twist
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        body_frame_id: str = ...,
        reference_frame_id: str = ...,
        velocity: Twist = ...,
    ) -> None: ...

class Wrench(Message):
    force: Vector3
    torque: Vector3
    def __init__(self, *, force: Vector3 = ..., torque: Vector3 = ...) -> None: ...

class WrenchStamped(Message):
    header: std_msgs.msg.Header
    wrench: Wrench
    def __init__(self, *, header: std_msgs.msg.Header = ..., wrench: Wrench = ...) -> None: ...
