/**
 * Reads the one request of a connection, within a deadline that no byte extends.
 *
 * Stops reading at the first error, so a peer that sends rubbish costs one chunk. The
 * client may close its half afterwards: that is no error and ends nothing.
 */

import type { Socket } from 'node:net'

import { BackupError } from '../errors/index.ts'
import { type KvBlock, type ProtocolVersion, RequestParser, refuseTrailingBytes } from '../protocol/index.ts'
import { HANDSHAKE_RECORD } from './secure-connection.ts'

export interface ReceivedRequest {
  readonly version: ProtocolVersion
  readonly block: KvBlock
}

/** One for all of them: in a flood thousands are gone in a second, and what each costs counts. */
const GONE = new BackupError('JOB_CLIENT_GONE', 'the client went away before its request')

/**
 * @param deadlineMs milliseconds for the whole request
 * @param leftMs so many of them are left
 * @param hurry aborts when the agent ends and waits for no request any more
 * @throws BackupError `AGENT_REQUEST_TIMEOUT`, `AGENT_TLS_NONE`, `PROTOCOL_*`, `JOB_DRAINING`; `JOB_CLIENT_GONE` when the connection was lost
 */
export const receiveRequest = (
  socket: Socket,
  deadlineMs: number,
  hurry: AbortSignal,
  leftMs = deadlineMs,
): Promise<ReceivedRequest> =>
  new Promise((resolve, reject) => {
    const parser = new RequestParser()
    const timer = setTimeout(() => {
      fail(new BackupError('AGENT_REQUEST_TIMEOUT', `no whole request within ${deadlineMs / 1000} s`, { deadlineMs }))
    }, leftMs)
    let isFirst = true

    const settle = (): void => {
      clearTimeout(timer)
      hurry.removeEventListener('abort', onHurry)
      socket.off('data', onData).off('end', onEnd).off('close', onClose)
    }
    const fail = (error: unknown): void => {
      settle()
      reject(error)
    }
    const guarded = (step: () => void): void => {
      try {
        step()
      } catch (error) {
        fail(error)
      }
    }
    const onData = (chunk: Buffer): void =>
      guarded(() => {
        // It would wait for a newline, and get one by chance alone.
        if (isFirst && chunk[0] === HANDSHAKE_RECORD) throw tlsNone()
        isFirst = false
        const received = parser.push(chunk)
        if (received === undefined) return
        refuseTrailingBytes(received.rest)
        settle()
        resolve(received)
      })
    const onEnd = (): void =>
      guarded(() => {
        parser.end()
        throw new BackupError('PROTOCOL_TRUNCATED', 'expected a request, the client closed without one')
      })
    const onClose = (): void => fail(GONE)

    const onHurry = (): void => fail(new BackupError('JOB_DRAINING', 'the agent is shutting down'))

    if (hurry.aborted) return onHurry()
    hurry.addEventListener('abort', onHurry)
    socket.on('data', onData).on('end', onEnd).on('close', onClose)
  })

const tlsNone = (): BackupError =>
  new BackupError(
    'AGENT_TLS_NONE',
    'this agent speaks no TLS here',
    {},
    { hint: 'ask it without --tls, or give it a certificate: tls-cert and tls-key' },
  )
