/**
 * Starts a program as systemd would start kv-backup-agent.service, as far as one machine without a running systemd can.
 *
 *     unshare --mount     /, read-only but for the directories of the unit; private /tmp, /var/tmp and /dev;
 *                         no /home and /root; /proc shows own processes
 *     prlimit             LimitCORE, LimitNOFILE as far as the machine has so many
 *     setpriv             the user, no groups, no capability, no new privileges
 *     python3             SystemCallFilter, RestrictAddressFamilies and RestrictNamespaces by libseccomp, as systemd does
 *     the program
 *
 * Each becomes the next by exec: the process that is started is the program in the end. What is not
 * played: cgroups (memory, tasks, devices, addresses), keyrings. Needs root, and the right to mount.
 */

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { runProgram } from '../rig/run-program.ts'
import { readUnit } from './host-files.ts'
import { allowedSystemCalls } from './system-calls.ts'

const CHECKOUT = fileURLToPath(new URL('../../../', import.meta.url)).replace(/\/$/, '')
/** Debian's own, which is not below a home. */
const PYTHON = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3'

/** What `RestrictNamespaces=yes` refuses by name; the flags of clone(2) are left to it. */
const NAMESPACES = ['unshare', 'setns']

export interface ServiceDirectories {
  /** Stay writable: state, runtime, logs. */
  readonly writable: readonly string[]
  /** A place for mounts, not below /tmp, /var/tmp and the homes. */
  readonly scratch: string
}

/** @returns words to put before a program. @param uid also of the group */
export const likeSystemd = async (uid: number, { writable, scratch }: ServiceDirectories): Promise<string[]> => {
  const unit = readUnit('kv-backup-agent.service')
  const calls = (await allowedSystemCalls(unit.get('SystemCallFilter') ?? [])).filter(
    (call) => !NAMESPACES.includes(call),
  )
  const families = (unit.get('RestrictAddressFamilies')?.[0] ?? '').split(' ')
  const visible = [CHECKOUT, process.execPath].filter((path) => /^\/(home|root)\//.test(path))
  return [
    ...['unshare', '--mount', 'sh', '-euc', MOUNTS, 'sh', scratch, writable.join(' '), visible.join(' ')],
    ...['prlimit', '--core=0'],
    ...['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--no-new-privs'],
    ...['--inh-caps=-all', '--bounding-set=-all', '--'],
    ...[PYTHON, '-c', SECCOMP, calls.join(' '), families.join(' ')],
  ]
}

/** Whether all of that can be had here; else why not. */
export const whyNotLikeSystemd = async (scratch: string): Promise<string | undefined> => {
  if (process.geteuid?.() !== 0) return 'it needs root'
  const run = await runProgram('/bin/sh', [
    '-c',
    'exec "$0" "$@"',
    ...(await likeSystemd(NOBODY, { writable: [], scratch })),
    '/bin/true',
  ])
  return run.exitCode === 0 ? undefined : run.stderr.trim().split('\n').at(-1)
}

/** A user that every system has, and nothing on it belongs to. */
export const NOBODY = 65_534

/** $1 scratch, $2 writable directories, $3 paths below a home that must be seen. */
const MOUNTS = `
scratch=$1 writable=$2 visible=$3
shift 3
for directory in $writable; do mount --bind "$directory" "$directory"; done
number=0
for path in $visible; do
  number=$((number + 1))
  if [ -d "$path" ]; then mkdir -p "$scratch/seen$number"; else touch "$scratch/seen$number"; fi
  mount --bind "$path" "$scratch/seen$number"
done

# PrivateDevices
mkdir -p "$scratch/dev"
mount -t tmpfs -o mode=0755 tmpfs "$scratch/dev"
for device in null zero full random urandom tty; do
  touch "$scratch/dev/$device"
  mount --bind "/dev/$device" "$scratch/dev/$device"
done
mkdir "$scratch/dev/shm"
chmod 1777 "$scratch/dev/shm"
ln -s /proc/self/fd "$scratch/dev/fd"
for number in 0 1 2; do ln -s "/proc/self/fd/$number" "$scratch/dev/$(echo stdin stdout stderr | cut -d' ' -f$((number + 1)))"; done
mount --move "$scratch/dev" /dev

# PrivateTmp, ProtectHome, ProtectProc
for directory in /tmp /var/tmp; do mount -t tmpfs -o mode=1777 tmpfs "$directory"; done
for directory in /home /root; do if [ -d "$directory" ]; then mount -t tmpfs -o mode=0755 tmpfs "$directory"; fi; done
number=0
for path in $visible; do
  number=$((number + 1))
  mkdir -p "$(dirname "$path")"
  if [ -d "$scratch/seen$number" ]; then mkdir -p "$path"; else touch "$path"; fi
  mount --move "$scratch/seen$number" "$path"
done
mount -t proc -o hidepid=2 proc /proc

# ProtectSystem=strict: everything that is mounted, the innermost last
for place in $(cut -d' ' -f5 /proc/self/mountinfo | sort -u); do
  case " $writable /tmp /var/tmp " in *" $place "*) continue ;; esac
  case $place in /proc | /proc/* | /dev | /dev/*) continue ;; esac
  mount -o remount,bind,ro "$place" 2>/dev/null || true
done
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
exec "$@"
`

/** argv: calls, address families, and the program. Source of the numbers: seccomp.h, sys/socket.h. */
const SECCOMP = `
import ctypes, os, sys
calls, families, program = sys.argv[1].split(), sys.argv[2].split(), sys.argv[3:]
lib = ctypes.CDLL('libseccomp.so.2')
lib.seccomp_init.restype = ctypes.c_void_p
class Compare(ctypes.Structure):
    _fields_ = [('arg', ctypes.c_uint), ('op', ctypes.c_int), ('a', ctypes.c_uint64), ('b', ctypes.c_uint64)]
ALLOW, REFUSE, EQUAL = 0x7FFF0000, 0x00050001, 4
FAMILY = {'AF_UNIX': 1, 'AF_INET': 2, 'AF_INET6': 10}
filter = ctypes.c_void_p(lib.seccomp_init(REFUSE))
for call in calls:
    number = lib.seccomp_syscall_resolve_name(call.encode())
    if number < 0: continue  # not on this processor
    if call == 'socket':
        for family in families:
            if lib.seccomp_rule_add_array(filter, ALLOW, number, 1, ctypes.byref(Compare(0, EQUAL, FAMILY[family], 0))):
                sys.exit('seccomp: ' + family)
    elif lib.seccomp_rule_add(filter, ALLOW, number, 0): sys.exit('seccomp: ' + call)
if lib.seccomp_load(filter): sys.exit('seccomp_load')
os.execvp(program[0], program)
`
