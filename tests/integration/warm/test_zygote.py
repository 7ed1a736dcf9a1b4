"""Processes that follow each other in one memory, which is put back in between (native/zygote.c). In processes of their own."""

from __future__ import annotations

import pytest

from tests.unit.warm.test_pages import in_a_process

# A server with a zygote; `worker` is what each of its workers does with a socket: WORKER in the scripts below.
SERVER = """
import _socket, array, ctypes, gc, json, mmap, select, socket, struct, sys
shared = mmap.mmap(os.open(sys.executable, os.O_RDONLY), 4096, mmap.MAP_SHARED, mmap.PROT_READ)
def serve(worker):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        keeper = lib.mr_zygote(theirs.fileno())
        assert keeper > 0, keeper
        theirs.send(struct.pack("=ii", os.getpid(), keeper))
        word = theirs.recv(1000)
        if word:
            worker(theirs, word)
            lib.mr_unmap_shared_files()
            assert len(shared[:]) == 4096
            lib.mr_worker_ends()
        os._exit(len(word))
    theirs.close()
    return pid, ours
class Memory:
    def __init__(self, zygote):
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        zygote.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno()]))])
        theirs.close()
    def ready(self):
        numbers = self.socket.recv(8)
        self.worker, self.keeper = struct.unpack("=ii", numbers) if numbers else (0, 0)
        return self.worker
    def rest(self):
        '''Wait for a worker that waits.'''
        pid, system_call = self.ready(), ""
        while pid and not system_call.startswith(RECEIVES):
            with open(f"/proc/{pid}/syscall") as file:
                system_call = file.read()
        return pid
    def run(self, word):
        self.socket.send(word)
        answer = self.socket.recv(100000)
        return answer, os.waitstatus_to_exitcode(os.waitpid(self.worker, 0)[1])
RECEIVES = {"x86_64": "45 ", "aarch64": "207 "}[os.uname().machine]  # recvfrom(2)
def content(pid):
    '''Give a process's private memory, by address.'''
    found = {}
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            words = line.split()
            start, end = (int(word, 16) for word in words[0].split("-"))
            if words[1] == "rw-p" and "/memfd:minirun-keeper" not in words:
                found[start] = os.pread(memory.fileno(), end - start, start)
    return found
"""


def test_workers_follow_each_other_and_find_what_the_first_one_found():
    """Each is a process of its own, a child of the zygote's parent, with its end for itself."""
    seen = in_a_process(
        SERVER
        + """
state = {"commands": 0, "text": "a" * 100}
def worker(there, word):
    state["commands"] += 1
    state[word.decode()] = [str(number) for number in range(100_000)]
    os.umask(0o777)
    os.environ["LEFT"] = "behind"
    there.send(json.dumps([state["commands"], len(state), os.umask(0o22), os.getppid(), os.environ.get("LEFT")]).encode())
zygote, asked = serve(worker)
memory = Memory(asked)
workers = set()
for word in (b"a", b"bc", b"def", b"ghij"):
    workers.add(memory.ready())
    keeper = memory.keeper
    answer, code = memory.run(word)
    assert json.loads(answer) == [1, 3, 0o777, os.getpid(), "behind"], answer
    assert code == len(word)
assert memory.ready() not in workers and memory.keeper == keeper
memory.socket.close(); asked.close()
ended = {os.wait()[0] for _ in range(3)}
print(ended == {zygote, memory.keeper, memory.worker}, len(workers))
"""
    )
    assert seen == "True 4\n"


LEAVES = {
    "numbers, strings, a dictionary": "kept['x'] = {n: str(n) for n in range(300_000)}",
    "a garbage collection": "kept.clear(); gc.collect()",
    "a module": "import decimal, sqlite3",
    "a large mapping": "kept['x'] = mmap.mmap(-1, 50 << 20); kept['x'][::4096] = b'x' * (12800)",
    "a file, mapped": "import tempfile; file = tempfile.TemporaryFile(); file.truncate(9); kept['x'] = mmap.mmap(file.fileno(), 9)",
    "a heap that has grown": "kept['x'] = ctypes.CDLL(None).malloc; [kept['x'](100_000) for _ in range(500)]",
    "a deep stack": "sys.setrecursionlimit(30_000); deep = lambda n: n and (lambda: deep(n - 1))(); deep(5_000)",
    "signal handlers": "signal.signal(signal.SIGUSR1, lambda *_: None); os.kill(os.getpid(), signal.SIGUSR1)",
    "a child with a program of its own": "import subprocess; subprocess.run(['true'], check=True); os.system('true')",
    "settings of its memory": "open('/proc/self/oom_score_adj', 'w').write('500'); "
    "open('/proc/self/coredump_filter', 'w').write('0'); ctypes.CDLL(None).prctl(4, 0)",
}


@pytest.mark.parametrize("act", LEAVES.values(), ids=LEAVES.keys())
def test_the_memory_is_put_back_to_the_byte(act):
    """All but the worker's number, which the C library keeps, what lies below the stack, and the keeper's own."""
    seen = in_a_process(
        SERVER
        + f"""
kept = {{}}
held = [str(number) * 10 for number in range(50_000)]
def worker(there, word):
    {act}
    there.send(b"done")
settings = lambda pid: [open(f"/proc/{{pid}}/{{name}}").read() for name in ("oom_score_adj", "coredump_filter")]
zygote, asked = serve(worker)
memory = Memory(asked)
before = content(memory.rest()), settings(memory.worker)
keeper = memory.keeper
first = memory.worker
for _ in range(3):
    assert memory.run(b"go") == (b"done", 2)
    worker = memory.rest()
    assert worker and memory.keeper == keeper, (worker, memory.keeper, keeper)
    after = content(worker), settings(worker)
    assert before[1:] == after[1:]
    assert sorted(before[0])[:-1] == sorted(after[0])[:-1]  # the last is the stack, which may have grown
    differing = 0
    for start, content_before in before[0].items():
        content_after = after[0].get(start, b"")
        if start == max(before[0]):
            continue  # the stack
        if content_before != content_after:
            assert len(content_before) == len(content_after)
            pages = [n for n in range(0, len(content_before), 4096) if content_before[n:n + 4096] != content_after[n:n + 4096]]
            for page in pages:
                differing += sum(a != b for a, b in zip(content_before[page:page + 4096], content_after[page:page + 4096]))
    print(differing)
"""
    )
    assert max(map(int, seen.split())) <= 16


GONE = {
    "freed for good": "held.clear(); gc.collect(); there.send(b'done')",
    "replaced by a file": "libc = ctypes.CDLL(None); libc.mmap.restype = ctypes.c_void_p; "
    "file = os.open(sys.executable, os.O_RDONLY); place = ctypes.addressof(ctypes.c_char.from_buffer(area)); "
    "assert libc.mmap(ctypes.c_void_p(place), 4096, 3, 0x12, file, 0) == place; there.send(b'done')",
    "a child that has its pages": "os.fork() or (os.setsid(), signal.alarm(5), signal.pause()); there.send(b'done')",
    "killed": "there.send(b'done'); os.kill(os.getpid(), signal.SIGKILL)",
    "without its last act": "there.send(b'done'); os._exit(7)",
}


@pytest.mark.parametrize("act", GONE.values(), ids=GONE.keys())
def test_what_can_not_be_put_back_is_given_back(act):
    """The keeper ends, and another one begins with what the first one began with."""
    seen = in_a_process(
        SERVER
        + f"""
held = [str(number) * 10 for number in range(500_000)]
area = mmap.mmap(-1, 65536, mmap.MAP_PRIVATE)
def worker(there, word):
    assert len(held) == 500_000
    {act}
zygote, asked = serve(worker)
for _ in range(2):
    memory = Memory(asked)
    memory.ready()
    keeper = memory.keeper
    assert memory.run(b"go")[0] == b"done"
    print(memory.ready(), os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1]))
"""
    )
    assert seen == "0 0\n" * 2


def test_they_end_with_the_zygotes_parent():
    seen = in_a_process(
        SERVER
        + """
here, there = os.pipe()
if os.fork() == 0:
    zygote, asked = serve(None)
    memory = Memory(asked)
    memory.ready()
    os.write(there, struct.pack("=ii", memory.keeper, memory.worker))
    os.kill(os.getpid(), signal.SIGKILL)
numbers = [*struct.unpack("=ii", os.read(here, 8))]
os.wait()
ended = [os.pidfd_open(number) for number in numbers if os.path.exists(f"/proc/{number}")]
print([bool(select.select([pidfd], [], [], 20)[0]) for pidfd in ended] in ([], [True], [True, True]))
"""
    )
    assert seen == "True\n"
