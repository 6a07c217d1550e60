from collections.abc import Sequence
from typing import ClassVar

import builtin_interfaces.msg
import geometry_msgs.msg
import std_msgs.msg

from sim2arm_ros.dds.messages import Message

class BatteryState(Message):
    POWER_SUPPLY_STATUS_UNKNOWN: ClassVar[int]
    POWER_SUPPLY_STATUS_CHARGING: ClassVar[int]
    POWER_SUPPLY_STATUS_DISCHARGING: ClassVar[int]
    POWER_SUPPLY_STATUS_NOT_CHARGING: ClassVar[int]
    POWER_SUPPLY_STATUS_FULL: ClassVar[int]
    POWER_SUPPLY_HEALTH_UNKNOWN: ClassVar[int]
    POWER_SUPPLY_HEALTH_GOOD: ClassVar[int]
    POWER_SUPPLY_HEALTH_OVERHEAT: ClassVar[int]
    POWER_SUPPLY_HEALTH_DEAD: ClassVar[int]
    POWER_SUPPLY_HEALTH_OVERVOLTAGE: ClassVar[int]
    POWER_SUPPLY_HEALTH_UNSPEC_FAILURE: ClassVar[int]
    POWER_SUPPLY_HEALTH_COLD: ClassVar[int]
    POWER_SUPPLY_HEALTH_WATCHDOG_TIMER_EXPIRE: ClassVar[int]
    POWER_SUPPLY_HEALTH_SAFETY_TIMER_EXPIRE: ClassVar[int]
    POWER_SUPPLY_TECHNOLOGY_UNKNOWN: ClassVar[int]
    POWER_SUPPLY_TECHNOLOGY_NIMH: ClassVar[int]
    POWER_SUPPLY_TECHNOLOGY_LION: ClassVar[int]
    POWER_SUPPLY_TECHNOLOGY_LIPO: ClassVar[int]
    POWER_SUPPLY_TECHNOLOGY_LIFE: ClassVar[int]
    POWER_SUPPLY_TECHNOLOGY_NICD: ClassVar[int]
    POWER_SUPPLY_TECHNOLOGY_LIMN: ClassVar[int]
    POWER_SUPPLY_TECHNOLOGY_TERNARY: ClassVar[int]
    POWER_SUPPLY_TECHNOLOGY_VRLA: ClassVar[int]
    header: std_msgs.msg.Header
    voltage: float
    temperature: float
    current: float
    charge: float
    capacity: float
    design_capacity: float
    percentage: float
    power_supply_status: int
    power_supply_health: int
    power_supply_technology: int
    present: bool
    cell_voltage: Sequence[float]
    cell_temperature: Sequence[float]
    location: str
    serial_number: str
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        voltage: float = ...,
        temperature: float = ...,
        current: float = ...,
        charge: float = ...,
        capacity: float = ...,
        design_capacity: float = ...,
        percentage: float = ...,
        power_supply_status: int = ...,
        power_supply_health: int = ...,
        power_supply_technology: int = ...,
        present: bool = ...,
        cell_voltage: Sequence[float] = ...,
        cell_temperature: Sequence[float] = ...,
        location: str = ...,
        serial_number: str = ...,
    ) -> None: ...

class CameraInfo(Message):
    header: std_msgs.msg.Header
    height: int
    width: int
    distortion_model: str
    d: Sequence[float]
    k: Sequence[float]
    r: Sequence[float]
    p: Sequence[float]
    binning_x: int
    binning_y: int
    roi: RegionOfInterest
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        height: int = ...,
        width: int = ...,
        distortion_model: str = ...,
        d: Sequence[float] = ...,
        k: Sequence[float] = ...,
        r: Sequence[float] = ...,
        p: Sequence[float] = ...,
        binning_x: int = ...,
        binning_y: int = ...,
        roi: RegionOfInterest = ...,
    ) -> None: ...

class ChannelFloat32(Message):
    name: str
    values: Sequence[float]
    def __init__(self, *, name: str = ..., values: Sequence[float] = ...) -> None: ...

class CompressedImage(Message):
    header: std_msgs.msg.Header
    format: str
    data: Sequence[int]
    def __init__(
        self, *, header: std_msgs.msg.Header = ..., format: str = ..., data: Sequence[int] = ...
    ) -> None: ...

class FluidPressure(Message):
    header: std_msgs.msg.Header
    fluid_pressure: float
    variance: float
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        fluid_pressure: float = ...,
        variance: float = ...,
    ) -> None: ...

class Illuminance(Message):
    header: std_msgs.msg.Header
    illuminance: float
    variance: float
    def __init__(
        self, *, header: std_msgs.msg.Header = ..., illuminance: float = ..., variance: float = ...
    ) -> None: ...

class Image(Message):
    header: std_msgs.msg.Header
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Sequence[int]
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        height: int = ...,
        width: int = ...,
        encoding: str = ...,
        is_bigendian: int = ...,
        step: int = ...,
        data: Sequence[int] = ...,
    ) -> None: ...

class Imu(Message):
    header: std_msgs.msg.Header
    orientation: geometry_msgs.msg.Quaternion
    orientation_covariance: Sequence[float]
    angular_velocity: geometry_msgs.msg.Vector3
    angular_velocity_covariance: Sequence[float]
    linear_acceleration: geometry_msgs.msg.Vector3
    linear_acceleration_covariance: Sequence[float]
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        orientation: geometry_msgs.msg.Quaternion = ...,
        orientation_covariance: Sequence[float] = ...,
        angular_velocity: geometry_msgs.msg.Vector3 = ...,
        angular_velocity_covariance: Sequence[float] = ...,
        linear_acceleration: geometry_msgs.msg.Vector3 = ...,
        linear_acceleration_covariance: Sequence[float] = ...,
    ) -> None: ...

class JointState(Message):
    header: std_msgs.msg.Header
    name: Sequence[str]
    position: Sequence[float]
    velocity: Sequence[float]
    effort: Sequence[float]
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        name: Sequence[str] = ...,
        position: Sequence[float] = ...,
        velocity: Sequence[float] = ...,
        effort: Sequence[float] = ...,
    ) -> None: ...

class Joy(Message):
    header: std_msgs.msg.Header
    axes: Sequence[float]
    buttons: Sequence[int]
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        axes: Sequence[float] = ...,
        buttons: Sequence[int] = ...,
    ) -> None: ...

class JoyFeedback(Message):
    TYPE_LED: ClassVar[int]
    TYPE_RUMBLE: ClassVar[int]
    TYPE_BUZZER: ClassVar[int]
    type: int
    id: int
    intensity: float
    def __init__(self, *, type: int = ..., id: int = ..., intensity: float = ...) -> None: ...

class JoyFeedbackArray(Message):
    array: list[JoyFeedback]
    def __init__(self, *, array: list[JoyFeedback] = ...) -> None: ...

class LaserEcho(Message):
    echoes: Sequence[float]
    def __init__(self, *, echoes: Sequence[float] = ...) -> None: ...

class LaserScan(Message):
    header: std_msgs.msg.Header
    angle_min: float
    angle_max: float
    angle_increment: float
    time_increment: float
    scan_time: float
    range_min: float
    range_max: float
    ranges: Sequence[float]
    intensities: Sequence[float]
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        angle_min: float = ...,
        angle_max: float = ...,
        angle_increment: float = ...,
        time_increment: float = ...,
        scan_time: float = ...,
        range_min: float = ...,
        range_max: float = ...,
        ranges: Sequence[float] = ...,
        intensities: Sequence[float] = ...,
    ) -> None: ...

class MagneticField(Message):
    header: std_msgs.msg.Header
    magnetic_field: geometry_msgs.msg.Vector3
    magnetic_field_covariance: Sequence[float]
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        magnetic_field: geometry_msgs.msg.Vector3 = ...,
        magnetic_field_covariance: Sequence[float] = ...,
    ) -> None: ...

class MultiDOFJointState(Message):
    header: std_msgs.msg.Header
    joint_names: Sequence[str]
    transforms: list[geometry_msgs.msg.Transform]
    twist: list[geometry_msgs.msg.Twist]
    wrench: list[geometry_msgs.msg.Wrench]
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        joint_names: Sequence[str] = ...,
        transforms: list[geometry_msgs.msg.Transform] = ...,
        twist: list[geometry_msgs.msg.Twist] = ...,
        wrench: list[geometry_msgs.msg.Wrench] = ...,
    ) -> None: ...

class MultiEchoLaserScan(Message):
    header: std_msgs.msg.Header
    angle_min: float
    angle_max: float
    angle_increment: float
    time_increment: float
    scan_time: float
    range_min: float
    range_max: float
    ranges: list[LaserEcho]
    intensities: list[LaserEcho]
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        angle_min: float = ...,
        angle_max: float = ...,
        angle_increment: float = ...,
        time_increment: float = ...,
        scan_time: float = ...,
        range_min: float = ...,
        range_max: float = ...,
        ranges: list[LaserEcho] = ...,
        intensities: list[LaserEcho] = ...,
    ) -> None: ...

class NavSatFix(Message):
    COVARIANCE_TYPE_UNKNOWN: ClassVar[int]
    COVARIANCE_TYPE_APPROXIMATED: ClassVar[int]
    COVARIANCE_TYPE_DIAGONAL_KNOWN: ClassVar[int]
    COVARIANCE_TYPE_KNOWN: ClassVar[int]
    header: std_msgs.msg.Header
    status: NavSatStatus
    latitude: float
    longitude: float
    altitude: float
    position_covariance: Sequence[float]
    position_covariance_type: int
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        status: NavSatStatus = ...,
        latitude: float = ...,
        longitude: float = ...,
        altitude: float = ...,
        position_covariance: Sequence[float] = ...,
        position_covariance_type: int = ...,
    ) -> None: ...

class NavSatStatus(Message):
    STATUS_UNKNOWN: ClassVar[int]
    STATUS_NO_FIX: ClassVar[int]
    STATUS_FIX: ClassVar[int]
    STATUS_SBAS_FIX: ClassVar[int]
    STATUS_GBAS_FIX: ClassVar[int]
    SERVICE_UNKNOWN: ClassVar[int]
    SERVICE_GPS: ClassVar[int]
    SERVICE_GLONASS: ClassVar[int]
    SERVICE_COMPASS: ClassVar[int]
    SERVICE_GALILEO: ClassVar[int]
    status: int
    service: int
    def __init__(self, *, status: int = ..., service: int = ...) -> None: ...

class PointCloud(Message):
    header: std_msgs.msg.Header
    points: list[geometry_msgs.msg.Point32]
    channels: list[ChannelFloat32]
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        points: list[geometry_msgs.msg.Point32] = ...,
        channels: list[ChannelFloat32] = ...,
    ) -> None: ...

class PointCloud2(Message):
    header: std_msgs.msg.Header
    height: int
    width: int
    fields: list[PointField]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: Sequence[int]
    is_dense: bool
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        height: int = ...,
        width: int = ...,
        fields: list[PointField] = ...,
        is_bigendian: bool = ...,
        point_step: int = ...,
        row_step: int = ...,
        data: Sequence[int] = ...,
        is_dense: bool = ...,
    ) -> None: ...

class PointField(Message):
    INT8: ClassVar[int]
    UINT8: ClassVar[int]
    INT16: ClassVar[int]
    UINT16: ClassVar[int]
    INT32: ClassVar[int]
    UINT32: ClassVar[int]
    FLOAT32: ClassVar[int]
    FLOAT64: ClassVar[int]
    name: str
    offset: int
    datatype: int
    count: int
    def __init__(
        self, *, name: str = ..., offset: int = ..., datatype: int = ..., count: int = ...
    ) -> None: ...

class Range(Message):
    ULTRASOUND: ClassVar[int]
    INFRARED: ClassVar[int]
    header: std_msgs.msg.Header
    radiation_type: int
    field_of_view: float
    min_range: float
    max_range: float
    range: float
    variance: float
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        radiation_type: int = ...,
        field_of_view: float = ...,
        min_range: float = ...,
        max_range: float = ...,
        range: float = ...,
        variance: float = ...,
    ) -> None: ...

class RegionOfInterest(Message):
    x_offset: int
    y_offset: int
    height: int
    width: int
    do_rectify: bool
    def __init__(
        self,
        *,
        x_offset: int = ...,
        y_offset: int = ...,
        height: int = ...,
        width: int = ...,
        do_rectify: bool = ...,
    ) -> None: ...

class RelativeHumidity(Message):
    header: std_msgs.msg.Header
    relative_humidity: float
    variance: float
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        relative_humidity: float = ...,
        variance: float = ...,
    ) -> None: ...

class Temperature(Message):
    header: std_msgs.msg.Header
    temperature: float
    variance: float
    def __init__(
        self, *, header: std_msgs.msg.Header = ..., temperature: float = ..., variance: float = ...
    ) -> None: ...

class TimeReference(Message):
    header: std_msgs.msg.Header
    time_ref: builtin_interfaces.msg.Time
    source: str
    def __init__(
        self,
        *,
        header: std_msgs.msg.Header = ...,
        time_ref: builtin_interfaces.msg.Time = ...,
        source: str = ...,
    ) -> None: ...
