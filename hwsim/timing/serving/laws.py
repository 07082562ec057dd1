"""Exact laws of queues, beside which the simulated engine is put.

Sources: Pollaczek and Khinchine for one server, Erlang for several; the law of continuous batching follows from the
balance of tokens and of time, derived below.
"""

from __future__ import annotations

from hwsim.errors import ArgumentError


def wait_one_server(rate: float, service: float, square: float) -> float:
    """Mean wait of an M/G/1 queue, first come first served.

    Args:
        rate: arrivals a second.
        service: mean of the service time, s.
        square: mean of its square, s².

    Raises:
        ArgumentError: the server is not idle part of the time.
    """
    load = rate * service
    if not 0 <= load < 1:
        raise ArgumentError("load must be below 1", got=load, where="wait_one_server")
    return rate * square / (2 * (1 - load))


def wait_many_servers(servers: int, load: float, service: float) -> float:
    """Mean wait of an M/M/c queue.

    Args:
        servers: of the queue.
        load: arrivals in a mean service time, below `servers`.
        service: mean of the exponential service time, s.

    Raises:
        ArgumentError: more load than servers.
    """
    if not 0 <= load < servers:
        raise ArgumentError(f"load must be below {servers} servers", got=load, where="wait_many_servers")
    blocked = 1.0  # Erlang's B, server by server
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    waits = blocked / (1 - load / servers * (1 - blocked))
    return waits / (servers - load) * service


def steady_step(rate: float, prompt: float, answer: float, fixed: float, sequence: float, token: float) -> float:
    """Mean time of a step of an engine that is never idle, s, where a step takes ``fixed + sequence * B + token * P``
    for B requests that decode and P tokens of new prompts.

    In a second, ``rate * answer`` tokens are made, one a request and step, so that B is ``rate * answer`` times the
    step; P is ``rate * prompt`` times the step. So the step is ``fixed / (1 - rate * (answer * sequence + prompt *
    token))``, and the mean batch over steps ``rate * answer`` times it.

    Raises:
        ArgumentError: the engine cannot keep up.
    """
    load = rate * (answer * sequence + prompt * token)
    if not 0 <= load < 1:
        raise ArgumentError("load must be below 1", got=load, where="steady_step")
    return fixed / (1 - load)
