//! The cases, by subject.

mod ends;
mod launch;
mod line;
mod takeover;
mod tree;

/// A name and a test.
pub(crate) type Case = (&'static str, fn());

macro_rules! cases {
    ($($subject:ident :: $name:ident),* $(,)?) => {
        /// Every case.
        pub(crate) const ALL: &[Case] = &[$((concat!(stringify!($subject), "::", stringify!($name)), $subject::$name)),*];
    };
}

cases![
    launch::exits_are_told_in_order_and_pinned_until_release,
    launch::each_failure_has_its_stage_and_sentence,
    launch::a_program_being_written_is_tried_again,
    launch::two_hundred_at_once_leave_no_descriptor,
    launch::good_and_bad_ones_at_once_each_get_what_is_theirs,
    launch::the_child_is_set_up_as_ordered,
    launch::rights_are_given_up,
    launch::the_path_is_searched_as_execvp_does,
    launch::shortages_are_failures_that_pass,
    takeover::the_same_processes_over_many_kills,
    takeover::orders_of_a_dead_supervisor_are_executed_first,
    takeover::crashes_in_a_row_make_the_state_suspicious,
    takeover::the_first_ones_exit_code_is_the_keepers,
    takeover::goodbye_ends_with_its_code_and_without_a_pid_file,
    takeover::held_descriptors_come_back,
    takeover::a_program_outlives_the_keeper,
    ends::they_come_with_the_run_and_with_each_supervisor,
    ends::they_go_with_the_run_and_no_child_has_them,
    ends::what_was_frozen_goes_on_when_the_supervisor_dies,
    ends::tens_of_thousands_are_held,
    tree::daemons_are_found_and_killed,
    tree::a_cgroup_is_killed_whole,
    tree::strangers_are_reaped,
    tree::pid_one_leaves_no_zombie,
    line::one_keeper_per_folder,
    line::hostile_packets_are_ignored,
    line::signals_are_passed_on_with_their_sender,
    line::a_supervisor_without_its_line_is_replaced,
    line::a_supervisor_that_reads_nothing_costs_nothing,
    line::exits_during_a_rest_are_told_together,
];
