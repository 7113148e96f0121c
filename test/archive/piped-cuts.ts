/**
 * Python's half of the sweeps over thousands of cuts: `piped(argv, data)` gives a function that hands the first N
 * bytes of `data` to the program on its standard input, and returns its exit status.
 *
 * One Python process drives them all: starting a program from here costs several times as much. The data must fit
 * into a pipe, so that nobody has to write while the program reads.
 */

export const PIPED_CUTS = `
import fcntl, os

F_SETPIPE_SZ = 1031
null = os.open('/dev/null', os.O_RDWR)

def piped(argv, data, more=lambda: []):
    def run(cut):
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        fcntl.fcntl(write_end, F_SETPIPE_SZ, 1 << 20)
        if cut: assert os.write(write_end, data[:cut]) == cut
        os.close(write_end)
        files = [(os.POSIX_SPAWN_DUP2, fd, to) for fd, to in ((read_end, 0), (null, 1), (null, 2))]
        pid = os.posix_spawnp(argv[0], [*argv, *more()], os.environ, file_actions=files)
        os.close(read_end)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return run
`
