"""``sppm_start``: a plain script gets ``--start --stop --restart --reload --shutdown --status``.

Scripts written for PyPI's ``sppm``, of its early and its later versions, run unchanged.
"""

from __future__ import annotations

import argparse
import inspect
import logging
import sys
from typing import Any, Callable, Dict, List, NoReturn, Optional, Tuple, Union

from . import _busy, _command, _environment, _script, _signals
from ._control import Control, end_own_supervisor
from ._version import VERSION

TRACE = 9
LEVELS = (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG, TRACE)
LOG_FORMAT = "%(asctime)s %(process)s [%(levelname)s] %(message)s"
LOG_DATE_FORMAT = "%Y-%m-%d %H:%M:%S"

Function = Callable[..., Any]


def sppm_start(task: Union[str, Function], *args: Any, **kwargs: Any) -> NoReturn:
    """Makes a command of the script: run in the background by a supervisor, with the options of ``--help``.

    Two forms: ``sppm_start("name", function, *args)``, and ``sppm_start(function, help, *args, **kwargs)``, where the
    function gets the help text as its first argument if it has room for it. Never returns.

    ``--start`` runs the script again under ``sppm``, found on PATH or by ``$SPPM_BIN``; there, ``function`` is
    called, and a signal to end is only remembered, for ``signal_monitor``. ``--stop``, ``--restart`` and ``--reload``
    wait for the end of the task in hand, ``--shutdown`` does not. When the function returns, its supervisor ends as
    well.
    """
    name, function, help_text, call_args = _forms(task, args, kwargs)
    options = _parser(help_text).parse_args()
    mark = _script.take_mark()
    if mark is not None or _runs_here(options):
        _work(function, call_args, kwargs, options.log_level, mark)
    try:
        code = _do(Control(_script.Script(name)), options)
    except (_command.CommandMissing, _command.CommandFailed) as error:
        sys.stderr.write("error: %s\n" % error)
        code = error.exit_code
    sys.exit(code)


def sppm_block_start(task: Union[str, Function], *args: Any, **kwargs: Any) -> NoReturn:
    """The same as ``sppm_start``: for tasks marked with ``lock`` or ``working_lock``, which it honours as well."""
    sppm_start(task, *args, **kwargs)


def _forms(
    task: Union[str, Function], args: Tuple[Any, ...], kwargs: Dict[str, Any]
) -> Tuple[Optional[str], Function, Optional[str], Tuple[Any, ...]]:
    """Tells the two forms apart: name, function, help text, and the arguments of the function."""
    if isinstance(task, str):
        if not args or not callable(args[0]):
            raise TypeError("sppm_start(%r, …) needs the function to run as its second argument" % task)
        return task, args[0], None, args[1:]
    if not callable(task):
        raise TypeError("sppm_start needs a name or a function first, not %r" % (task,))
    help_text = args[0] if args and isinstance(args[0], str) else None
    if help_text is not None and not _accepts(task, args, kwargs):
        return None, task, help_text, args[1:]
    return None, task, help_text, args


def _accepts(function: Function, args: Tuple[Any, ...], kwargs: Dict[str, Any]) -> bool:
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError:
        return False
    except ValueError:  # a built-in function that does not tell
        return True
    return True


def _parser(help_text: Optional[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=sys.argv[0],
        description=help_text or "Runs this script in the background.",
        usage="%(prog)s --no-daemon -d -v -l [--start|--stop|--reload|--shutdown|--restart|--status]",
    )
    parser.add_argument("--no-daemon", action="store_true", help="stay in the foreground, until Ctrl-C")
    parser.add_argument("-d", "--debug", action="store_true", help="go into the background, but show the output here")
    parser.add_argument(
        "-l",
        "--log-level",
        type=int,
        choices=range(len(LEVELS)),
        help="of the module logging: 0 (critical), 1 (error), 2 (warning), 3 (info, the default), 4 (debug), 5 (trace)",
    )
    group = parser.add_mutually_exclusive_group(required=True)
    actions: List[Tuple[str, str]] = [
        ("--start", "start it"),
        ("--stop", "stop it after the task in hand"),
        ("--reload", "the same as --restart"),
        ("--shutdown", "kill it, in the middle of a task if need be"),
        ("--restart", "stop it after the task in hand, and start it again"),
        ("--status", "show how it is"),
    ]
    for option, text in actions:
        group.add_argument(option, action="store_true", help=text)
    parser.add_argument("-v", "--version", action="version", version="%(prog)s v" + VERSION)
    return parser


def _runs_here(options: argparse.Namespace) -> bool:
    """Under a supervisor that has the script in a file of its own, a start is the work itself."""
    starts = options.start or options.restart or options.reload
    return bool(starts and _environment.supervised() and (options.no_daemon or _environment.is_main()))


def _do(control: Control, options: argparse.Namespace) -> int:
    if options.start:
        return control.start(options.no_daemon, options.debug)
    if options.restart or options.reload:
        return control.restart(options.no_daemon, options.debug)
    if options.stop:
        return control.stop()
    if options.shutdown:
        return control.stop(force=True)
    return control.status()


def _work(
    function: Function, args: Tuple[Any, ...], kwargs: Dict[str, Any], level: Optional[int], config: Optional[str]
) -> NoReturn:
    """The life of the function: what it raises is a failure, that it returns is the end."""
    _set_up_logging(level)
    _signals.install(patient=True)
    try:
        function(*args, **kwargs)
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
    if _busy.is_marked():
        _busy.mark(False)
    if config is not None and _signals.caught() is None:
        end_own_supervisor(config)
    sys.exit(0)


def _set_up_logging(level: Optional[int]) -> None:
    """As those scripts expect it: the root logger writes to standard output, unless the script has set it up."""
    logging.addLevelName(TRACE, "TRACE")
    root = logging.getLogger()
    if not root.handlers:
        logging.basicConfig(stream=sys.stdout, format=LOG_FORMAT, datefmt=LOG_DATE_FORMAT)
        level = 3 if level is None else level
    if level is not None:
        root.setLevel(LEVELS[level])
