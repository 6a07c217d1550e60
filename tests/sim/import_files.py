"""A small arm as others write it: two joints, a gripper that mimics, a mesh that is nowhere."""

from __future__ import annotations

INERTIA = '<inertia ixx="0.01" ixy="0" ixz="0" iyy="0.02" iyz="0" izz="0.015"/>'
FINGER = (
    '<inertial><mass value="0.1"/><inertia ixx="1e-4" ixy="0" ixz="0" iyy="1e-4" iyz="0" '
    'izz="1e-4"/></inertial>'
)
URDF = f"""<?xml version="1.0"?>
<robot name="small">
  <link name="world"/>
  <link name="base_link">
    <inertial><origin xyz="0 0 0.1"/><mass value="2"/>{INERTIA}</inertial>
    <visual><geometry><mesh filename="package://nowhere/base.stl"/></geometry></visual>
  </link>
  <link name="upper">
    <inertial><origin xyz="0.1 0 0.02" rpy="0.3 0 0"/><mass value="1"/>{INERTIA}</inertial>
    <collision>
      <origin xyz="0.1 0 0" rpy="0 1.57 0"/>
      <geometry><cylinder radius="0.03" length="0.2"/></geometry>
    </collision>
  </link>
  <link name="lower"><inertial><mass value="1"/>{INERTIA}</inertial></link>
  <link name="tip"/>
  <link name="left">{FINGER}</link>
  <link name="right">{FINGER}</link>
  <joint name="mount" type="fixed">
    <origin xyz="0 0 0.5" rpy="0 0 0.2"/><parent link="world"/><child link="base_link"/>
  </joint>
  <joint name="shoulder" type="revolute">
    <origin xyz="0 0 0.2" rpy="0.1 0.2 0.3"/><parent link="base_link"/><child link="upper"/>
    <axis xyz="0 1 1"/><limit lower="-1.5" upper="1" effort="30" velocity="2"/>
    <dynamics damping="0.3" friction="0.1"/>
  </joint>
  <joint name="elbow" type="continuous">
    <origin xyz="0.3 0 0"/><parent link="upper"/><child link="lower"/>
    <axis xyz="0 0 -2"/><limit effort="10" velocity="3"/>
  </joint>
  <joint name="tool" type="fixed">
    <origin xyz="0.1 0 0"/><parent link="lower"/><child link="tip"/>
  </joint>
  <joint name="grip" type="prismatic">
    <parent link="tip"/><child link="left"/><axis xyz="0 1 0"/>
    <limit lower="0" upper="0.04" effort="20" velocity="0.1"/>
  </joint>
  <joint name="follow" type="prismatic">
    <parent link="tip"/><child link="right"/><axis xyz="0 -1 0"/>
    <limit lower="0" upper="0.04" effort="20" velocity="0.1"/><mimic joint="grip"/>
  </joint>
</robot>
"""
CONTROLLERS = """
controller_manager:
  ros__parameters:
    arm_controller: {type: joint_trajectory_controller/JointTrajectoryController}
    hand_controller: {type: parallel_gripper_action_controller/GripperActionController}
arm_controller:
  ros__parameters:
    joints: [elbow, shoulder]
    command_interfaces: [effort]
    gains:
      shoulder: {p: 100.0, i: 0.0, d: 10.0}
      elbow: {p: 50.0, i: 0.0, d: 5.0}
hand_controller:
  ros__parameters: {joint: grip}
"""
