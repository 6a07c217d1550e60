"""Every fault that the project must bear, what must come of it, and the tests that show it.

`make faults` runs all of these tests and the long ones, and writes benchmarks/results/faults.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TESTS = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    what: str
    """What goes wrong, and what must come of it."""
    tests: str = ""
    """Of the fast suite: `folder/file::test other_test`, one file per line."""
    cases: tuple[str, ...] = field(default=())
    """How cases of the long tests begin."""

    def names(self) -> Iterator[tuple[str, str]]:
        """Yield file below tests/ and function of each test."""
        for line in self.tests.split("\n"):
            file, _, functions = line.strip().partition("::")
            for function in functions.split():
                yield file, f"test_{function}"


FAULTS: dict[str, tuple[Fault, ...]] = {
    "Observations and clocks": (
        Fault(
            "an input older than its budget, silent, of another time or wrong: no command of it, "
            "HOLD at the next look",
            """deploy_ros/test_fault_table.py::no_command_comes_of_stale_or_wrong_inputs
            deploy_ros/test_policy_session.py::input_that_is_too_old_or_missing_is_an_error
            deploy_ros/test_gate_machine.py::joint_states_with_stamps_off_hold
            deploy_ros/test_touch_replay.py::simulated_gels_drive_it_and_it_stops_without_them""",
            ("gate, 7 faults",),
        ),
        Fault(
            "joints, goal, picture, depth or forces of a policy that are lost, old, ahead, without "
            "a stamp or of another clock: no tick uses them, and none is refused without cause",
            "deploy_ros/test_policy_faults.py::no_tick_uses_an_input_of_another_time_and_none_is_refused_without_cause",
            ("policy, six inputs of another time",),
        ),
        Fault(
            "joint states that stop for good: HOLD, then FAULT until an operator resets it",
            """deploy_ros/test_gate_machine.py::joint_states_that_fall_silent_hold_then_fault
            deploy_ros/test_gate_machine.py::fault_stays_until_the_operator
            deploy_ros/test_faults.py::frozen_joint_states_hold_then_fault_until_the_operator
            deploy_ros/test_faults.py::arm_that_freezes_is_a_fault arm_that_is_killed_is_a_fault""",
        ),
        Fault(
            "stamps that go back, lie ahead, are zero or of another clock, clocks that freeze or "
            "jump: refused and named, no age is NaN",
            """deploy_ros/test_gate_machine.py::stamps_of_joint_states_that_go_back_are_a_fault_once
            deploy_ros/test_faults.py::frozen_clock_is_a_fault clock_that_jumps_is_a_fault
            deploy_ros/test_faults.py::a_clock_of_the_policy_machine_that_changes_stops_it
            deploy_ros/test_faults.py::a_policy_machine_with_another_clock_is_not_activated
            deploy_ros/test_gate_about.py::a_clock_that_jumps_is_said_at_once
            core/test_sampling.py::readings_with_impossible_stamps_are_counted_and_not_used""",
        ),
        Fault(
            "joint states that come 5 to 20 ms late, one in twenty lost: the arm goes on",
            cases=("joint states 5 to 20 ms late",),
        ),
        Fault(
            "readings of sensors that are further apart in time than allowed (50 ms): refused, "
            "and only those",
            """deploy_ros/test_policy_session.py::sensors_that_are_too_far_apart_are_an_error
            deploy_ros/test_policy_session.py::readings_are_refused_where_they_are_too_far_apart_and_only_there
            deploy_ros/test_graph.py::a_skew_that_is_none_is_refused""",
            ("policy, readings up to 80 ms apart",),
        ),
        Fault(
            "joints in another order: put in order by name, the same bits; a joint that is missing "
            "or named twice: refused",
            """deploy_ros/test_convert.py::a_thousand_permutations_give_the_same_bits
            deploy_ros/test_convert.py::missing_or_duplicate_joints
            deploy_ros/test_faults.py::permuted_joints_give_the_same_actions_to_the_bit
            deploy_ros/test_faults.py::a_joint_that_is_missing_or_named_twice_is_refused""",
        ),
        Fault(
            "pictures and poses in another frame, encoding, size or type: refused by name",
            """deploy_ros/test_convert.py::the_frame_must_be_the_contract_s
            deploy_ros/test_convert_pictures.py::images_that_do_not_fit
            deploy_ros/test_convert_pictures.py::an_unknown_encoding_and_no_pixels
            deploy_ros/test_convert_pictures.py::any_image_is_an_array_or_one_line
            deploy_ros/test_picture_topics.py::intrinsics_of_another_picture""",
        ),
        Fault(
            "NaN and infinities in observations, in what the network says, in requests: never "
            "published",
            """deploy_ros/test_faults.py::nan_in_joint_states_holds nan_in_a_request_is_refused
            deploy_ros/test_faults.py::nan_in_the_goal_pose_stops_the_policy
            deploy_ros/test_faults.py::a_network_that_turns_to_nan_stops_the_policy
            deploy_ros/test_fault_table.py::no_number_that_is_none_is_published
            deploy_ros/test_policy_faults.py::no_request_comes_of_inputs_that_are_no_numbers
            deploy_ros/test_policy_faults.py::no_request_comes_of_answers_that_are_no_numbers""",
            ("gate, requests with NaN", "policy, inputs with NaN", "policy, answers with NaN"),
        ),
    ),
    "Actions": (
        Fault(
            "any request, absurd, reversing, at the limits, not finite, by policies and others, "
            "for every robot: what is published keeps position, velocity, acceleration and jerk at "
            "each millisecond, stops included, and ends at rest; links stay apart and above the "
            "table, the tool in its box: of every eighth trajectory, seen ten times as densely as "
            "by the gate, by kinematics of another kind. FR3",
            """deploy_ros/test_gate_fuzz.py::a_short_fuzz_reaches_every_decision_and_breaks_nothing
            deploy_ros/test_gate.py::adversarial_requests_never_break_a_limit
            deploy_ros/test_gate.py::bang_bang_stays_inside_with_stops
            deploy_ros/test_gate.py::workspace_is_a_wall an_arm_does_not_fold_into_itself
            deploy_ros/test_gate.py::an_arm_stays_above_its_table""",
            ("gate, fr3,",),
        ),
        Fault(
            "the same of the other robots: Panda, UR5e, SO-101",
            cases=("gate, panda,", "gate, ur5e,", "gate, so101,"),
        ),
        Fault(
            "requests, and what the gate answers, that come late, twice, in another order or not "
            "at all, stamps that jitter, clocks that drift: the motion that a controller makes of "
            "the commands, each joined when it arrives, keeps the same limits; of every sixteenth "
            "command links and tool are looked at. A command that is there more than a period "
            "before its start is joined on a way that nobody judged: 1.5 times the acceleration "
            "and 2.5 times the jerk at most",
            """deploy_ros/test_real_time.py::a_bad_link_never_makes_the_arm_break_a_limit
            deploy_ros/test_gate.py::a_late_take_over_keeps_the_limits_and_is_made_good""",
            ("gate in real time, bad links",),
        ),
        Fault(
            "the first command after an activation: leaves from where the arm stands",
            """deploy_ros/test_gate.py::first_command_leaves_from_where_the_arm_stands
            deploy_ros/test_gate_machine.py::no_session_begins_far_from_what_the_controller_commands""",
        ),
        Fault(
            "an arm that stands outside its limits, too close to itself, or moves: no session "
            "begins",
            """deploy_ros/test_gate.py::start_outside_the_limits_is_refused
            deploy_ros/test_gate.py::a_start_too_close_to_itself_is_refused_with_the_links
            deploy_ros/test_gate_machine.py::no_session_begins_while_the_arm_moves""",
        ),
        Fault(
            "a force of wrist, joints or gels above its limit, silent or not a number: the arm "
            "stops, the gripper closes no further",
            """deploy_ros/test_stops.py::each_of_them_stops_the_arm_and_it_goes_on_only_with_a_new_session
            deploy_ros/test_forces.py::what_is_too_much_or_no_number_is_one
            deploy_ros/test_forces.py::silence_is_one_where_time_counts
            deploy_ros/test_gripper_chain.py::a_stop_ends_the_closing_of_a_gripper""",
        ),
        Fault(
            "gains, controller or robot mode that change under the policy: FAULT",
            """deploy_ros/test_faults.py::gains_that_leave_the_trained_range
            deploy_ros/test_gate_machine.py::an_arm_that_does_not_follow_is_a_fault
            deploy_ros/test_mode_faults.py::a_robot_that_stops_itself_stops_the_gate_until_somebody_resets_it""",
        ),
    ),
    "Time": (
        Fault(
            "a policy that is late, hangs, is stopped or killed: HOLD after its budget; a new "
            "session needs an operator",
            """deploy_ros/test_faults.py::policy_that_is_frozen_holds_and_is_not_let_in_again
            deploy_ros/test_faults.py::policy_that_is_killed_holds
            deploy_ros/test_gate_machine.py::silence_of_the_policy_holds_after_its_budget
            deploy_ros/test_gate_machine.py::commands_that_are_always_too_late_hold
            deploy_ros/test_gate_machine.py::a_session_that_was_turned_away_does_not_come_back""",
        ),
        Fault(
            "requests, answers and joint states that take 1 to 500 ms longer: no command of what "
            "is too old, never ACTIVE beyond a budget, every limit kept",
            cases=("gate in real time, requests, answers and joint states",),
        ),
        Fault(
            "commands that take 1 to 500 ms longer to the controller: the arm stays in its range "
            "and comes to rest; how fast it makes up for them, the gate cannot know",
            cases=("gate in real time, commands",),
        ),
        Fault(
            "1 to 25 requests lost in a row: up to 3 the arm goes on, from 7 it stops",
            """deploy_ros/test_real_time.py::an_arm_goes_on_after_a_few_lost_requests_and_stops_after_more
            deploy_ros/test_outdated.py::out_of_step_for_too_long_holds_whoever_knows_in_the_end""",
            ("gate in real time, 1 to 25 requests",),
        ),
        Fault(
            "a gate that stalls or is killed: the arm comes to rest, nothing is followed that was "
            "decided before; one that stalls for a moment takes the command back",
            """deploy_ros/test_faults.py::gate_that_stalls_publishes_nothing_old_afterwards
            deploy_ros/test_gate_machine.py::a_command_that_is_taken_back_was_never_there
            deploy_ros/test_node_errors.py::what_waited_too_long_moves_neither_arm_nor_gripper
            deploy_ros/test_faults.py::gate_that_is_killed_leaves_an_arm_that_stops
            deploy_ros/test_gate_machine.py::a_gate_that_slept_holds_before_it_judges""",
        ),
        Fault(
            "the first inferences, which are slow: run before the activation, without a trace",
            "deploy_ros/test_policy_session.py::warm_up_leaves_no_trace",
        ),
    ),
    "Teleoperation": (
        Fault(
            "a device that falls silent or is pulled out: the arm stands, and goes on without a "
            "jump",
            """sensors/teleop/test_teleop_devices.py::an_arm_follows_it_and_holds_when_it_is_unplugged
            sensors/teleop/test_clutch.py::10000_schedules_of_silence_never_move_the_tool_from_a_stale_reading
            sensors/teleop/test_following.py::10000_schedules_of_silence_never_move_the_arm_from_a_stale_reading
            deploy_ros/test_teleop_node.py::the_arm_follows_stands_in_silence_and_goes_on_from_there""",
        ),
        Fault(
            "a device that drifts while its clutch is open: nothing moves when it closes",
            """sensors/teleop/test_clutch.py::1000_drifts_with_an_open_clutch_move_nothing_when_it_closes
            sensors/teleop/test_following.py::1000_drifts_with_an_open_clutch_move_the_tool_by_nothing""",
        ),
        Fault(
            "a leader arm that stands elsewhere: refused; the arm approaches at 0.5 rad/s",
            """sensors/teleop/test_following.py::a_leader_far_from_the_arm_is_refused_with_one_line
            sensors/teleop/test_following.py::the_arm_approaches_at_half_a_radian_per_second_and_then_follows""",
        ),
    ),
    "Recordings": (
        Fault(
            "a recorder that is killed at any moment: every committed episode is there, unchanged",
            """policies/dataset/test_crash.py::killed_processes_lose_the_episode_that_ran
            policies/dataset/test_crash.py::death_at_any_step_loses_that_episode_only""",
            ("recorders killed",),
        ),
        Fault(
            "disks that are full, read-only or slow: said in one line, nothing committed is lost",
            """policies/dataset/test_crash.py::a_full_disk_at_any_step_loses_that_episode_only
            policies/dataset/test_crash.py::a_read_only_folder_is_one_line
            deploy_ros/test_bag.py::a_disk_that_fills_up_ends_the_log_in_one_line
            deploy_ros/test_bag.py::a_read_only_disk_is_refused
            deploy_ros/test_bag.py::a_slow_disk_holds_nobody_up_and_what_is_dropped_is_said""",
        ),
        Fault(
            "files of a dataset or of a log that are changed or cut: named; never a wrong frame",
            """policies/dataset/test_damage.py::no_change_of_a_file_gives_a_wrong_frame
            policies/dataset/test_damage.py::the_doctor_names_file_and_episode
            deploy_ros/test_bag.py::a_flipped_bit_is_never_another_message
            deploy_ros/test_bag.py::a_file_that_is_cut_anywhere_gives_its_whole_chunks""",
            ("files of a dataset",),
        ),
        Fault(
            "frames for which there is no room: dropped as a whole and counted",
            "policies/dataset/test_writer.py::frames_without_room_are_dropped_as_a_whole_and_counted",
        ),
    ),
    "Models and configuration": (
        Fault(
            "models that are cut, changed, of another opset, with other inputs, external data or a "
            "manifest that does not fit: one line, before a publisher exists",
            """policies/test_runtime.py::a_truncated_model_is_refused_at_every_percent
            policies/test_runtime.py::a_wrong_model_with_a_fitting_manifest_is_refused
            policies/test_runtime.py::ten_thousand_mutations_never_get_past_the_walk_with_a_traceback
            policies/test_runtime.py::one_changed_byte_in_any_file_is_refused
            policies/test_runtime.py::links_and_large_files_are_refused
            policies/test_runtime.py::golden_sequences_that_the_graph_does_not_give_are_refused
            deploy_ros/test_faults.py::a_changed_bundle_is_refused_before_anything_is_published""",
            ("policy.onnx with",),
        ),
        Fault(
            "a contract that is changed in one of its two copies, the manifest fitting: refused, "
            "or the same contract in other words",
            """policies/test_runtime.py::a_changed_contract_with_a_fitting_manifest_is_refused
            policies/test_changed_contracts.py::changed_contracts_with_a_fitting_manifest_are_refused
            core/test_contract.py::every_single_field_is_compared""",
            ("contract with a change in one copy",),
        ),
        Fault(
            "a contract that is changed in both copies alike, the manifest fitting: refused, or a "
            "whole contract that says just that, in finite numbers",
            "policies/test_changed_contracts.py::contracts_changed_in_both_copies_are_refused_or_whole",
            ("contract with a change in both",),
        ),
        Fault(
            "a graph.yaml that is changed: another valid graph, or one line",
            """deploy_ros/test_graph.py::files_that_are_not_graphs a_missing_or_binary_file
            deploy_ros/test_graph.py::changed_graphs_are_graphs_or_one_line""",
            ("graph.yaml changed",),
        ),
        Fault(
            "command lines that are changed: options that somebody could mean, or one line",
            "cli/test_changed_words.py::changed_command_lines_are_read_or_one_line",
            ("command lines changed",),
        ),
        Fault(
            "an exported model that answers otherwise than the policy that was trained (off by "
            "more than 2e-5): not exported; 10 000 steps each of a perceptron, an LSTM, a history "
            "and one with noise",
            """policies/test_export.py::parity_is_within_the_bound
            policies/test_export.py::runtime_answers_like_torch_over_256_steps
            policies/test_export.py::a_graph_that_differs_from_its_module_is_refused""",
            ("export, mlp", "export, lstm", "export, history", "export, noise"),
        ),
        Fault(
            "checkpoints of others with a payload, that are none or unpack to too much: the "
            "payload never runs, one line",
            """cli/test_import_refusals.py::a_payload_in_a_checkpoint_never_runs
            cli/test_import_refusals.py::a_checkpoint_that_is_none
            cli/test_import_refusals.py::what_is_no_zip_or_unpacks_to_too_much""",
        ),
        Fault(
            "a bundle that is unsigned, signed by others or changed, where keys are trusted: not "
            "configured",
            "deploy_ros/test_node_errors.py::only_bundles_of_trusted_keys_are_configured",
        ),
    ),
    "ROS": (
        Fault(
            "lifecycle transitions in any order: no publisher of commands outside of inactive and "
            "active",
            """deploy_ros/test_node_errors.py::random_transitions_never_publish_outside_of_active
            deploy_ros/test_node_errors.py::a_transition_that_raises_leaves_no_publisher
            deploy_ros/test_faults.py::gate_that_is_taken_down_while_the_arm_moves
            deploy_ros/test_faults.py::policy_that_is_deactivated_while_the_arm_moves""",
            ("lifecycle of gate_node", "lifecycle of policy_node"),
        ),
        Fault(
            "the same transitions while an arm runs and a policy asks: no command unless both are "
            "active, none once a deactivation was answered",
            "deploy_ros/test_lifecycle_walks.py::walks_that_pass_through_active_publish_nothing_outside",
            ("lifecycle of gate and policy",),
        ),
        Fault(
            "parameters of a node that is configured: they do not change",
            "deploy_ros/test_faults.py::parameters_of_a_configured_gate_do_not_change",
        ),
        Fault(
            "two nodes of one name: the gate stops, or the second is not let in; nothing is "
            "commanded twice",
            "deploy_ros/test_lifecycle_walks.py::a_second_node_of_the_same_name_never_moves_the_arm_as_well",
        ),
        Fault(
            "e-stop topic and service: latched until withdrawn and reset",
            """deploy_ros/test_faults.py::emergency_stop_topic_stays_until_withdrawn_and_reset
            deploy_ros/test_faults.py::emergency_stop_service_latches""",
        ),
        Fault(
            "a dead man's switch that is released or silent for 0.1 s: HOLD",
            """deploy_ros/test_stops.py::a_heartbeat_by_hand nothing_starts_while_one_of_them_is_red
            deploy_ros/test_stops.py::each_of_them_stops_the_arm_and_it_goes_on_only_with_a_new_session""",
        ),
        Fault(
            "two more publishers of commands, a second gate, two policies: FAULT",
            """deploy_ros/test_faults.py::other_publishers_of_commands_are_a_fault
            deploy_ros/test_faults.py::commands_of_somebody_else_are_a_fault_but_reach_the_arm
            deploy_ros/test_faults.py::a_second_gate_makes_the_first_one_fault_and_does_not_start
            deploy_ros/test_gate_machine.py::two_policies_at_once_are_a_fault""",
        ),
        Fault(
            "QoS that does not match: in the report within 2 s",
            "deploy_ros/test_node_errors.py::qos_that_does_not_match_is_in_the_report_within_2_s",
        ),
        Fault(
            "samples on the wire that are cut, noise or claim to be huge: dropped and counted",
            """deploy_ros/dds/test_wire.py::every_truncation_and_any_noise_is_a_codec_error_or_a_message
            deploy_ros/dds/test_wire.py::an_oversized_count_is_refused_without_allocating
            deploy_ros/dds/test_slow_path.py::a_malformed_sample_is_dropped_and_counted""",
        ),
        Fault(
            "the operator's page hangs or dies: nothing changes; its hold stands",
            """deploy_ros/test_operator_node.py::a_page_that_hangs_or_dies_changes_nothing
            deploy_ros/test_operator_node.py::hold_on_the_page_works_within_a_cycle""",
        ),
        Fault(
            "a recorder that dies, a camera that dies: the operator's page says so, and shows "
            "nothing old as if it were now",
            """deploy_ros/test_operator_node.py::a_recorder_that_dies_mid_episode_is_missed_in_red
            deploy_ros/test_operator_pictures.py::a_picture_of_a_camera_that_died_is_marked_with_its_age""",
        ),
        Fault(
            "a policy on another machine whose link is cut: the arm stands within its bound",
            "cli/test_ros.py::a_policy_on_another_machine_whose_link_is_cut",
        ),
    ),
    "Calibration": (
        Fault(
            "views of a hand-eye calibration of which a fifth are of another moment, noise of "
            "0.3 px, 0.2 mm and 0.05 degrees: 1 mm and 0.1 degrees, the wrong ones named; motions "
            "that do not tell the camera: refused with the reason",
            """calibration/test_hand_eye.py::the_camera_is_found_within_its_interval
            calibration/test_hand_eye.py::degenerate_motions_are_refused_with_the_reason
            calibration/test_hand_eye.py::what_does_not_agree_or_does_not_show_is_refused""",
        ),
        Fault(
            "a joint that is off by a degree: found in a minute of data, and only there",
            """calibration/test_joint_drift.py::one_degree_is_found_in_a_minute_and_only_there
            calibration/test_joint_drift.py::an_offset_that_comes_later_is_a_change""",
        ),
        Fault(
            "delays of -20 to 200 ms: found within 2 ms; motion that does not tell them: one line",
            """calibration/test_delay.py::a_delay_is_found_to_a_fraction_of_a_sample
            calibration/test_delay.py::what_tells_no_delay_is_one_line""",
        ),
    ),
    "Planted defects": (
        Fault("a defect in the gate, of each kind: seen by the tests above", cases=("planted:",)),
    ),
}


ELSEWHERE: tuple[tuple[str, str], ...] = (
    (
        "periods that are missed at 60 and 100 Hz, and by how much",
        "`bench ros` with all its `--sees`, beside a bare loop: `ros.json`, `ros-sees.json`",
    ),
    (
        "ten minutes of the graph, ten million cycles: memory, files, threads",
        "`bench ros --soak`: `ros-soak.json`, `ros-soak-cycles.json`",
    ),
    ("a policy on another machine: how long until the arm stands", "`bench remote`: `remote.json`"),
    (
        "a hundred rigs, views and recordings with noise and outliers",
        "`bench calibration`: `calibration.md`",
    ),
    ("datasets in lerobot and back", "`make interop`, in an environment of lerobot's own"),
    (
        "a loop of 1 kHz in C++ and what it does without commands",
        "none: ros2_control and robots close it. Requests that are lost are in the table",
    ),
    ("frames of a socket of our own", "none: there is DDS alone, whose samples are in the table"),
)
"""What else is known to go wrong, and where it is measured."""


def listed(nodeid: str) -> bool:
    """Return whether a test is of the list."""
    file, _, name = nodeid.removeprefix("tests/").partition("::")
    return (file, name.partition("[")[0]) in _LISTED


_LISTED = {name for group in FAULTS.values() for fault in group for name in fault.names()}
