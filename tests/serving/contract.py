"""The contract of a model server, for any engine.

A module with a fixture `server` holds it to these tests by `from tests.serving.contract import *`.
"""

from tests.serving.test_chat import (
    client,
    test_a_body_that_is_no_request_is_answered_400,
    test_a_stop_string_ends_the_answer,
    test_a_stream_gives_the_same_answer_in_pieces,
    test_answers_as_predict_does,
    test_openais_client_asks_and_streams,
    test_text_parts_are_one_text,
    test_the_predict_route_takes_a_chat_body_too,
    test_what_cannot_be_honoured_is_refused_by_name,
)
from tests.serving.test_serving_program import (
    test_a_body_above_the_limit_is_answered_413_declared_or_not,
    test_a_body_that_is_not_json_is_answered_400,
    test_a_seed_repeats_a_sampled_answer,
    test_a_wrong_request_is_answered_400_and_names_the_field,
    test_answers_keep_the_order_of_the_instances,
    test_answers_prompts_and_conversations,
    test_each_of_many_concurrent_requests_gets_its_own_answer,
    test_takes_whole_numbers_that_came_as_doubles,
    test_unknown_paths_and_methods_are_refused,
    test_what_the_chat_template_refuses_is_answered_400,
)

__all__ = [
    "client",
    "test_a_body_above_the_limit_is_answered_413_declared_or_not",
    "test_a_body_that_is_no_request_is_answered_400",
    "test_a_body_that_is_not_json_is_answered_400",
    "test_a_seed_repeats_a_sampled_answer",
    "test_a_stop_string_ends_the_answer",
    "test_a_stream_gives_the_same_answer_in_pieces",
    "test_a_wrong_request_is_answered_400_and_names_the_field",
    "test_answers_as_predict_does",
    "test_answers_keep_the_order_of_the_instances",
    "test_answers_prompts_and_conversations",
    "test_each_of_many_concurrent_requests_gets_its_own_answer",
    "test_openais_client_asks_and_streams",
    "test_takes_whole_numbers_that_came_as_doubles",
    "test_text_parts_are_one_text",
    "test_the_predict_route_takes_a_chat_body_too",
    "test_unknown_paths_and_methods_are_refused",
    "test_what_cannot_be_honoured_is_refused_by_name",
    "test_what_the_chat_template_refuses_is_answered_400",
]
