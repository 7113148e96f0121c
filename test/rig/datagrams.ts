/**
 * A datagram socket on a path, as a service manager or a syslog daemon has one: Python's, as Node has none.
 *
 *     const receiver = await DatagramReceiver.start(path)
 *     await receiver.received((text) => text.startsWith('READY=1'))
 *     await receiver.stop()
 */

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

import { forgetProcess, watchProcess } from './guard.ts'
import { plainEnvironment } from './run-program.ts'

/** Each datagram as one line of JSON. What is passed along with it (systemd-notify waits for that) is closed. */
const RECEIVER = `
import json, socket, sys
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1])
print(json.dumps('bound'), flush=True)
while True:
    print(json.dumps(receiver.recv(65536).decode('utf-8', 'replace')), flush=True)
`

export class DatagramReceiver {
  readonly #process: ChildProcessByStdio<null, Readable, null>
  readonly #watchers = new Set<() => void>()
  /** What has come so far, in order. */
  readonly datagrams: string[] = []

  private constructor(child: ChildProcessByStdio<null, Readable, null>) {
    this.#process = child
  }

  static async start(path: string): Promise<DatagramReceiver> {
    const child = spawn('python3', ['-c', RECEIVER, path], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: plainEnvironment(),
      detached: true,
    })
    if (child.pid === undefined) throw (await once(child, 'error'))[0]
    watchProcess(child.pid, path)
    const receiver = new DatagramReceiver(child)
    await new Promise<void>((resolve) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        const text = JSON.parse(line) as string
        if (text === 'bound') return resolve()
        receiver.datagrams.push(text)
        for (const look of receiver.#watchers) look()
      })
    })
    return receiver
  }

  /** The first datagram that fits: one that is here, or the next to come. */
  async received(fits: (text: string) => boolean): Promise<string> {
    let look = (): void => {}
    const found = await new Promise<string>((resolve) => {
      look = () => {
        const text = this.datagrams.find(fits)
        if (text !== undefined) resolve(text)
      }
      this.#watchers.add(look)
      look()
    })
    this.#watchers.delete(look)
    return found
  }

  async stop(): Promise<void> {
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await exited
    forgetProcess(this.#process.pid ?? 0)
  }
}
