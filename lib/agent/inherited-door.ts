/**
 * The door that inetd opens: one connection, or a socket on which many come.
 *
 *     connection   serve it ─▶ its last bytes are gone ─▶ done
 *     listening    accept, serve ─┬▶ nobody there for so long ─▶ accept no more ─▶ done
 *                                 └▶ close()                  ─▶ accept no more ─▶ the last one is gone ─▶ done
 *
 * Leaving loses nobody: inetd keeps the listening socket, and who connects while we leave
 * waits there for the next process. "Nobody there" and "accept no more" are one step, with no
 * event between them, so that nobody is accepted by a process that is leaving.
 */

import type { Socket } from 'node:net'

import type { ConnectionOptions, Listener } from './listener.ts'
import { clientOn, listenOnDescriptor, takeConnection } from './listener-inherited.ts'
import { type SocketKind, socketKind } from './socket-kind.ts'
import { takeStandardInput } from './standard-input.ts'

export interface InheritedDoor {
  readonly kind: SocketKind
  /**
   * Hands each connection to `serve`, which never rejects. Resolves when no more come and the last is closed.
   * Does nothing the second time.
   *
   * @param idleMs of a listening door: how long it stays open while nobody is there
   * @throws BackupError `AGENT_DESCRIPTOR`
   */
  serve(serve: (socket: Socket) => Promise<void>, options: DoorOptions): Promise<void>
  /** Takes no more connections. */
  close(): void
}

export type DoorOptions = Omit<ConnectionOptions, 'onConnection'> & { readonly idleMs: number }

const STANDARD_INPUT = 0

/** @throws BackupError `AGENT_DESCRIPTOR` */
export const openDoor = (descriptor: number): InheritedDoor => {
  if (descriptor === STANDARD_INPUT) takeStandardInput()
  const client = clientOn(descriptor)
  if (client !== undefined) return new ConnectionDoor(client)
  return socketKind(descriptor) === 'listening'
    ? new ListeningDoor(descriptor)
    : new ConnectionDoor(takeConnection(descriptor))
}

class ConnectionDoor implements InheritedDoor {
  readonly kind = 'connection'
  readonly #socket: Socket
  readonly #closed: Promise<void>
  #isServed = false

  constructor(socket: Socket) {
    socket.on('error', () => {}) // until its session listens; what it was is seen by whoever uses it
    this.#closed = new Promise((resolve) => socket.once('close', () => resolve()))
    this.#socket = socket
  }

  async serve(serve: (socket: Socket) => Promise<void>): Promise<void> {
    if (this.#isServed) return
    this.#isServed = true
    await serve(this.#socket)
    await this.#closed
  }

  close(): void {} // no more come anyway
}

class ListeningDoor implements InheritedDoor {
  readonly kind = 'listening'
  readonly #descriptor: number
  readonly #open = new Set<Promise<void>>()
  #listener: Listener | undefined
  #idle: NodeJS.Timeout | undefined
  #isServed = false
  #isClosed = false
  #leave: () => void = () => {}

  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  async serve(serve: (socket: Socket) => Promise<void>, options: DoorOptions): Promise<void> {
    if (this.#isServed) return
    this.#isServed = true
    const { idleMs } = options
    const left = new Promise<void>((resolve) => {
      this.#leave = resolve
    })
    const rest = (): void => {
      if (this.#open.size > 0 || this.#isClosed) return
      this.#idle = setTimeout(() => this.close(), idleMs)
    }
    const onConnection = (socket: Socket): void => {
      clearTimeout(this.#idle)
      const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
      const served = Promise.all([serve(socket), closed]).then(() => {
        this.#open.delete(served)
        rest()
      })
      this.#open.add(served)
    }
    this.#listener = await listenOnDescriptor(this.#descriptor, { ...options, onConnection })
    if (this.#isClosed)
      this.#listener.close() // told so meanwhile
    else rest()
    await left
    await Promise.all(this.#open)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#idle)
    this.#listener?.close()
    this.#leave()
  }
}
