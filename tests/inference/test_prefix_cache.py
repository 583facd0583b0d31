"""Beginnings that prompts share are found and kept; what does not recur is not."""

from doctune.inference.prefix_cache import PrefixCache

SYSTEM = list(range(100, 140))


def test_what_three_prompts_begin_with_is_kept_and_then_known() -> None:
    cache = PrefixCache(1000)
    assert cache.choose([*SYSTEM, 1, 2]) == ()
    assert cache.choose([*SYSTEM, 3]) == ()
    prefix = cache.choose([*SYSTEM, 4, 5])
    assert prefix == tuple(SYSTEM)
    cache.put(prefix, "keys and values")
    assert cache.choose([*SYSTEM, 6]) == prefix
    assert cache.get(prefix) == "keys and values"
    assert cache.tokens == 40


def test_a_prompt_that_comes_twice_is_no_constant_part() -> None:
    cache = PrefixCache(1000)
    for prompt in ([*SYSTEM, 1], [*range(50)], [*SYSTEM, 1]):
        assert cache.choose(prompt) == ()


def test_a_token_is_left_to_read_of_equal_prompts() -> None:
    cache = PrefixCache(1000)
    assert [cache.choose(SYSTEM) for _ in range(3)][-1] == tuple(SYSTEM[:-1])


def test_short_beginnings_and_those_beyond_the_memory_are_left() -> None:
    assert [PrefixCache(1000).choose([1, 2, 3, n]) for n in range(4)] == [()] * 4
    small = PrefixCache(30)
    assert [small.choose([*SYSTEM, n]) for n in range(4)] == [()] * 4


def test_the_least_recently_used_beginning_makes_room() -> None:
    cache = PrefixCache(100)
    first, second, third = (tuple(range(n, n + 40)) for n in (0, 100, 200))
    cache.put(first, 1)
    cache.put(second, 2)
    assert cache.get(first) == 1
    cache.put(third, 3)
    assert (cache.get(first), cache.get(second), cache.get(third)) == (1, None, 3)
    assert cache.tokens == 80
