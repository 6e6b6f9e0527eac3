//! What every engine has to do, written against `&dyn Store`.
//!
//! An engine's test file says how to open an empty store and calls [`conformance!`]; each case becomes a test.

pub(crate) mod approvals;
pub(crate) mod asserted;
pub(crate) mod at_once;
pub(crate) mod audit;
pub(crate) mod audit_list;
pub(crate) mod audit_operations;
pub(crate) mod changes;
pub(crate) mod clients;
pub(crate) mod codes;
pub(crate) mod consents;
pub(crate) mod devices;
pub(crate) mod ending;
pub(crate) mod exchange;
pub(crate) mod id_jag;
pub(crate) mod keys;
pub(crate) mod longest;
pub(crate) mod many;
pub(crate) mod operations;
pub(crate) mod own;
pub(crate) mod refresh;
pub(crate) mod registration;
pub(crate) mod resources;
pub(crate) mod revocation;
pub(crate) mod revocations;
pub(crate) mod scene;
pub(crate) mod sessions;
pub(crate) mod several;
pub(crate) mod spent;
pub(crate) mod sweep;
pub(crate) mod texts;
pub(crate) mod throttle;
pub(crate) mod trusted_issuers;
pub(crate) mod users;

/// One test for each case, with `$open`: a function whose future gives `conformance::scene::Opened`, or an
/// `Option` of it where an engine may be missing.
macro_rules! conformance {
    ($open:path) => {
        crate::conformance::conformance! { $open;
            resources: a_resource_reads_back_as_it_was_written, a_taken_slug_or_uri_is_a_conflict, an_unknown_resource_cannot_be_updated,
                deleting_a_resource_ends_its_grants_and_forgets_consents, clients_that_only_introspect_go_with_their_resource, a_changed_uri_ends_the_grants_on_the_old_one;
            clients: a_client_reads_back_as_it_was_written, a_taken_client_id_is_a_conflict, registering_again_keeps_the_stored_client,
                five_hundred_parallel_registrations_store_one_row, clients_come_in_pages_by_id, filters_choose_the_clients_of_a_page, deleting_a_client_ends_its_grants;
            users: a_person_reads_back_as_written, an_email_address_is_unique_whatever_its_case, people_come_in_pages_by_id,
                disabling_a_person_ends_sessions_and_grants, a_changed_password_ends_the_sessions_and_unredeemed_codes,
                another_name_ends_nothing, deleting_a_person_ends_everything, a_page_token_that_no_page_gave_is_invalid;
            sessions: a_session_reads_back_with_its_person, a_session_ends_when_idle_or_past_its_limit, use_keeps_a_session_alive,
                a_disabled_person_has_no_session, a_new_session_ends_the_one_it_replaces, nobody_signs_in_without_an_enabled_account,
                an_ended_session_takes_its_unredeemed_codes_along;
            throttle: free_attempts_do_not_wait, the_wait_doubles_up_to_the_longest, a_refused_attempt_is_not_counted,
                attempts_are_forgotten, one_waiting_key_holds_all_and_counts_none, a_right_password_gives_the_attempts_back,
                one_attempt_is_given_back_and_what_others_failed_stays,
                a_clock_that_went_back_locks_nobody_out, parallel_guesses_get_no_more_than_the_free_attempts;
            approvals: an_approval_makes_a_pending_grant_and_its_code, the_same_request_twice_makes_one_grant, parallel_posts_of_one_request_make_one_grant,
                a_used_up_request_gets_no_second_code, another_person_cannot_repeat_a_request, an_ended_session_cannot_approve,
                a_disabled_person_cannot_approve, a_disabled_or_unknown_client_gets_no_approval, a_client_that_changed_gets_no_approval,
                a_client_that_an_operator_registered_meanwhile_gets_no_approval_for_a_document,
                of_fifty_approvals_while_the_client_changes_none_counts, a_removed_resource_gets_no_approval,
                a_refused_approval_changes_nothing, consent_grows_while_the_fingerprint_stays, consent_starts_afresh_with_a_new_fingerprint, what_is_declined_later_is_no_longer_remembered,
                a_snapshot_is_kept_and_renewed, a_snapshot_never_touches_a_registered_client, a_snapshot_never_enables_a_disabled_client,
                an_incoherent_approval_is_invalid;
            consents: what_an_operator_ends_is_forgotten_also_where_no_grant_lives, a_grant_that_ended_by_itself_is_forgotten_by_whoever_revokes_it,
                a_disabled_person_comes_back_to_a_clean_slate, an_approval_rests_on_nothing_but_what_is_remembered,
                of_fifty_approvals_from_memory_none_outlives_a_revocation;
            codes: a_code_is_redeemed_once_and_its_token_recorded, the_keys_of_code_and_grant_are_kept, a_code_without_refresh_policy_gives_no_generation,
                a_replayed_code_revokes_its_grant, fifty_parallel_redemptions_give_one_grant_which_then_ends,
                an_expired_code_is_refused, an_unknown_code_is_unknown, a_code_is_refused_when_person_client_or_resource_is_gone,
                a_code_of_a_revoked_grant_is_refused, a_burned_code_is_refused_and_its_grant_ended, a_token_id_is_used_once,
                a_clock_that_went_back_does_not_revive_a_code, a_token_for_another_grant_is_invalid;
            refresh: the_current_generation_moves_on, a_lost_answer_gets_the_same_successor_at_any_time, an_older_token_inside_the_window_gets_its_old_successor,
                an_older_token_outside_the_window_ends_the_grant, without_a_window_an_older_token_ends_the_grant,
                a_use_rotates_the_grant_that_it_looked_at, a_use_that_wants_nothing_changes_nothing, a_use_rotates_no_other_grant, fifty_parallel_uses_get_one_successor,
                fifty_parallel_callers_get_one_successor, unknown_generations_change_nothing,
                an_idle_grant_expires, the_absolute_end_cannot_be_rotated_away, a_grant_without_refresh_tokens_cannot_rotate,
                a_refresh_is_refused_when_person_client_or_resource_is_gone, a_disabled_client_may_come_back,
                a_clock_that_went_back_neither_revives_nor_kills, reuse_long_ago_is_still_noticed, every_answer_records_its_token;
            at_once: rotations_that_meet_are_answered_each_by_itself, grants_that_are_read_at_once_are_each_the_one_asked_for;
            revocation: a_revoked_grant_rotates_no_more, after_a_revocation_answered_no_rotation_succeeds, filters_choose_the_grants_to_end,
                an_ended_grant_keeps_its_first_reason, a_person_who_revokes_is_asked_again, one_token_can_be_revoked_alone,
                grants_come_in_pages_newest_first;
            revocations: whoever_revokes_a_grant_it_is_in_the_log, a_replayed_code_and_a_reused_refresh_token_are_in_the_log,
                a_disabled_or_deleted_person_is_in_the_log, a_deleted_client_or_resource_is_in_the_log,
                a_disabled_client_is_in_the_log_once, a_revoked_token_is_in_the_log_once,
                a_pending_grant_that_ends_is_not_in_the_log, the_log_is_read_in_stretches,
                only_the_beginning_of_the_log_is_forgotten, whoever_follows_the_log_is_told_at_once,
                a_follower_of_fifty_parallel_revocations_misses_none;
            changes: a_change_is_known_before_it_is_answered, each_way_to_end_a_grant_is_a_change_of_the_log;
            own: a_client_has_one_grant_of_its_own_for_a_resource, tokens_that_are_asked_for_at_once_are_each_of_the_client_that_asks,
                fifty_first_tokens_at_once_share_one_grant,
                after_its_grant_was_revoked_a_client_gets_another_one, a_client_or_resource_that_is_gone_gets_no_token_of_its_own,
                an_incoherent_own_grant_is_invalid;
            exchange: an_exchanged_token_hangs_under_its_parent, revoking_a_token_revokes_what_was_exchanged_from_it,
                after_a_revocation_answered_nothing_lives_below,
                a_token_stands_on_its_record_and_its_grant, of_a_revocation_that_answered_every_look_knows, what_the_subject_rests_on_is_checked_again,
                an_ended_or_expired_subject_cannot_be_exchanged, a_token_that_would_grow_is_invalid;
            spent: a_thing_is_spent_once_whatever_is_said_of_its_end, what_is_past_its_use_stays_spent_until_it_is_forgotten, several_things_are_spent_together_or_not_at_all,
                of_fifty_parallel_callers_one_spends, what_was_spent_is_forgotten_when_no_clock_would_take_it_any_more;
            keys: a_signing_key_is_added_by_who_saw_the_newest, parallel_callers_agree_on_one_signing_key, a_waiting_key_takes_the_place_of_a_revoked_one,
                who_follows_a_withdrawn_key_signs_at_once_on_nodes_whose_clock_is_behind,
                a_key_that_waits_can_be_revoked_or_brought_forward, of_fifty_who_revoke_a_key_one_brings_its_successor, who_signs_after_a_change_is_told_and_what_changes_nothing_is_not,
                keys_are_deleted_when_their_time_came,
                what_is_sealed_is_listed_and_sealed_anew_once, a_turn_is_had_by_one_at_a_time,
                parallel_starts_agree_on_one_secret, only_the_first_admin_key_is_added_at_bootstrap, admin_keys_have_names_and_the_last_one_stays,
                of_fifty_who_delete_each_others_admin_keys_one_stays, of_fifty_admin_keys_with_one_name_one_is_added, another_issuers_name_is_noticed;
            devices: a_device_reads_back_by_its_user_code, a_user_code_is_free_again_when_it_expired, a_device_that_polls_too_soon_has_to_wait_longer,
                polls_are_told_what_became_of_the_request, a_no_counts_until_somebody_says_yes, of_fifty_answers_to_one_device_one_counts, fifty_parallel_polls_get_one_token_and_the_grant_lives,
                a_session_that_ends_leaves_the_device_its_code, a_device_is_swept_after_its_time;
            ending: nothing_that_was_given_out_is_usable_any_more, every_grant_ends_however_many_there_are,
                whoever_knows_the_old_secrets_has_nothing, secrets_that_were_forgotten_by_half_are_forgotten_again,
                what_was_made_before_counts_as_used_up;
            registration: an_initial_token_reads_back_and_can_be_removed, initial_tokens_come_in_pages_newest_first, a_token_for_one_use_registers_one_client_whoever_races,
                an_expired_or_unknown_token_registers_nobody, a_client_that_changes_its_registration_loses_its_unredeemed_codes,
                an_operator_undoes_nothing_that_a_client_changed_itself, a_client_that_an_operator_changes_loses_its_unredeemed_codes,
                a_token_that_was_replaced_changes_nothing, one_change_at_a_time_holds_over_all_callers;
            several: a_grant_on_several_resources_reads_back, removing_any_of_its_resources_ends_a_grant, a_filter_finds_a_grant_by_each_of_its_resources,
                a_removed_second_resource_gets_no_approval;
            many: all_grants_end_some_at_a_time, the_grants_of_a_client_end_some_at_a_time, the_grants_on_a_resource_end_some_at_a_time,
                the_grants_on_a_further_resource_end_some_at_a_time, a_client_takes_any_number_of_grants_along,
                a_resource_takes_any_number_of_grants_along, a_client_takes_any_number_of_consents_along,
                a_resource_takes_any_number_of_consents_along, a_resource_that_moves_ends_its_grants_unless_it_cannot;
            trusted_issuers: an_issuer_reads_back_as_it_was_written, a_taken_slug_or_issuer_url_is_a_conflict, a_subject_is_linked_to_one_person,
                a_person_is_added_with_the_link_or_not_at_all;
            asserted: an_asserted_grant_is_used_again, fifty_first_tokens_on_one_word_share_one_grant,
                what_ended_is_not_had_again_by_an_older_word, a_grant_ends_no_earlier_than_it_was_used,
                a_word_from_before_everything_was_ended_counts_no_more, trust_that_ends_takes_its_grants_along, trust_that_ends_takes_any_number_of_grants_along,
                an_issuer_that_was_not_disabled_to_the_end_leaves_nothing_when_it_is_enabled,
                a_word_about_what_is_gone_gives_no_token, a_word_that_was_taken_by_other_terms_gives_no_token,
                a_word_about_who_is_unlinked_or_another_one_by_now_gives_no_token, of_fifty_tokens_while_a_person_is_unlinked_none_counts,
                an_assertion_is_used_up_with_its_token_or_not_at_all, of_fifty_tokens_on_one_assertion_one_is_given, a_snapshot_of_the_client_is_kept_with_its_first_token, an_incoherent_asserted_grant_is_invalid;
            id_jag: an_audience_reads_back_as_it_was_written, an_assertion_hangs_under_what_was_shown_for_it, only_the_present_refresh_token_counts,
                what_an_assertion_rests_on_is_checked_again, after_a_revocation_answered_no_assertion_is_recorded, an_assertion_that_would_grow_is_invalid;
            longest: somebody_can_be_allowed_the_longest_names, an_issuer_can_name_the_longest_subject;
            audit: a_change_is_told_with_who_made_it, what_is_undone_leaves_no_event_and_no_change,
                of_fifty_who_redeem_a_code_forty_nine_are_told_as_refused, of_fifty_who_spend_a_thing_forty_nine_are_told_as_refused,
                a_stranger_who_is_refused_costs_no_row, a_renewed_registration_is_told, a_repeated_registration_is_told_once,
                what_two_do_at_once_is_told_once, a_replaced_session_is_told_to_have_ended, what_changed_is_named, grants_that_end_by_the_way_are_counted;
            audit_list: the_list_is_whole_and_in_order_page_by_page, filters_choose_the_lines, events_are_forgotten_a_little_at_a_time,
                a_long_text_is_cut, an_event_that_is_recorded_twice_is_one_line, a_word_that_a_newer_program_wrote_is_read_as_text;
            audit_operations: every_operation_that_changes_something_is_told;
            texts: grants_with_a_nul_are_not_there, audit_entries_with_a_nul_are_not_there,
                what_has_a_nul_in_its_name_cannot_be_removed;
            sweep: what_is_past_its_use_is_removed, what_is_in_use_stays, a_sweep_removes_at_most_its_limit, clients_that_registered_themselves_and_were_never_allowed_anything_are_removed,
                a_client_that_is_removed_takes_what_people_allowed_it_long_ago_along,
                what_nobody_ended_is_told_by_its_number_when_it_goes, initial_tokens_go_long_after_they_ended, so_many_clients_are_looked_at_in_one_go;
        }
    };
    ($open:path; $($module:ident: $($case:ident),+;)+) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                let opened: Option<crate::conformance::scene::Opened> = $open().await.into();
                // None: the engine's server is not installed here; its own file has said so.
                if let Some(opened) = opened {
                    crate::conformance::$module::$case(opened).await;
                }
            })+
        })+
    };
}
pub(crate) use conformance;
