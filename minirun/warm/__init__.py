"""The warm start: a process that holds imports and nothing else, and forks a worker for each command. docs/decisions/0020.

server     the preloaded process: accepts, checks, forks, says how workers ended
request    what the launcher (native/launcher.c) sends, and what it is answered
caller     who asks: the facts that must be equal, or the command is run cold
adopt      what a worker takes on of its caller before it does anything
preload    which modules are held
settle     how memory lies, for forks to be cheap
watch      has the installed package changed?
control    start, stop, status: the other side, for `minirun system warm`
"""
