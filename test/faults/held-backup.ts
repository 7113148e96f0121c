/**
 * A backup that is held at a byte of its stream, so that something can be done to it there.
 *
 *     const held = await holdBackup(…)     // so many bytes are with the client, no more will be
 *     …                                    // whatever is to happen
 *     const end = await held.release()     // goes on, to whatever end
 */

import type { AgentProcess, LogLine } from '../rig/agent-process.ts'
import { type ClientEnd, type ClientOrder, ClientRun } from './client-run.ts'
import { type Fault, FaultProxy, type ProxiedConnection } from './fault-proxy.ts'

export interface HeldBackup {
  readonly client: ClientRun
  readonly connection: ProxiedConnection
  /** Lets the stream go on, and waits for the client's end. */
  release(): Promise<ClientEnd>
}

export interface HoldOrder extends Omit<ClientOrder, 'address'> {
  readonly agent: Pick<AgentProcess, 'port'>
  /** Byte of the answer at which nothing goes on; a stream that is shorter goes on to its end. */
  readonly at: number
}

export const holdBackup = async ({ agent, at, ...order }: HoldOrder): Promise<HeldBackup> => {
  const hold: Fault = { at, do: 'hold' }
  const proxy = await FaultProxy.start(agent.port, { toClient: { faults: [hold] } })
  const client = new ClientRun({ ...order, address: proxy.address })
  const connection = await proxy.next()
  await Promise.race([connection.toClient.happened(hold), client.ended])
  return {
    client,
    connection,
    release: async () => {
      connection.toClient.resume()
      const end = await client.ended
      await proxy.close()
      return end
    },
  }
}

/** The log line with which an agent gives a session up. */
export const failureOf = (agent: AgentProcess, sid: string): Promise<LogLine> =>
  agent.logged((line) => line['sid'] === sid && isFailure(line))

/** What is only worth knowing has a code too where an error is its reason. */
export const isFailure = ({ code, level }: LogLine): boolean => code !== undefined && level !== 'info'
