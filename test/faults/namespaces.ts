/**
 * Small disks and private networks that belong to one process and are gone with it.
 *
 * Made with `unshare`, which becomes the program it starts, so nothing is left on the host
 * whatever ends the process.
 */

import { spawnSync } from 'node:child_process'

/** Whether this user, in this container, may make namespaces for mounts and networks. */
export const canUnshare = (): boolean =>
  spawnSync('unshare', ['--mount', '--net', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0

/** Whether the program that makes lines between networks is installed. */
export const hasIp = (): boolean => spawnSync('ip', ['-V']).status === 0

/**
 * A launcher that puts a tmpfs of so much over a directory, and becomes the program.
 *
 * @param afterwards shell, run inside when the program has ended; then the launcher stays its parent
 */
export const launchWithTmpfs = (directory: string, size: string, afterwards?: string): string[] => {
  const mount = `mount -t tmpfs -o size=${size},mode=0700 tmpfs '${directory}'`
  const script =
    afterwards === undefined ? `${mount} && exec "$@"` : `${mount} && "$@"; status=$?; ${afterwards}; exit $status`
  return ['unshare', '--mount', 'sh', '-c', script, 'sh']
}

/** Waits, in a network of its own, until that has an address, and becomes the program. */
export const launchInOwnNetwork = (device: string): string[] => {
  const script = `until ip -4 address show dev ${device} 2>/dev/null | grep -q inet; do sleep 0.02; done; exec "$@"`
  return ['unshare', '--net', 'sh', '-c', script, 'sh']
}

/** A line between this host and the network of one process. It disappears with that network. */
export class PrivateLine {
  readonly #here: string
  readonly there: string
  /** Address of this host on the line. */
  readonly address: string
  readonly #addressThere: string

  /** @param number of the line; two at a time need two numbers, 0 to 63 */
  constructor(number: number) {
    this.#here = `kvf${process.pid % 100_000}h${number}`
    this.there = `kvf${process.pid % 100_000}t${number}`
    this.address = `198.18.77.${number * 4 + 1}` // RFC 2544: for tests between devices
    this.#addressThere = `198.18.77.${number * 4 + 2}`
    ip('link', 'add', this.#here, 'type', 'veth', 'peer', 'name', this.there)
    ip('address', 'add', `${this.address}/30`, 'dev', this.#here)
    ip('link', 'set', this.#here, 'up')
  }

  /** Gives the other end to a process that waits for it. */
  handTo(pid: number): void {
    ip('link', 'set', this.there, 'netns', String(pid))
    inside(pid, 'link', 'set', this.there, 'up')
    inside(pid, 'address', 'add', `${this.#addressThere}/30`, 'dev', this.there)
  }

  /** Pulls the plug at the far end. */
  cut(pid: number): void {
    inside(pid, 'link', 'set', this.there, 'down')
  }

  remove(): void {
    spawnSync('ip', ['link', 'delete', this.#here]) // it may have gone with the other end
  }
}

const ip = (...words: readonly string[]): void => run('ip', words)
const inside = (pid: number, ...words: readonly string[]): void =>
  run('nsenter', ['--target', String(pid), '--net', 'ip', ...words])

const run = (program: string, words: readonly string[]): void => {
  const { status, stderr } = spawnSync(program, words)
  if (status !== 0) throw new Error(`${program} ${words.join(' ')} ended with ${status}: ${stderr}`)
}
