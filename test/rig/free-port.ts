/**
 * TCP ports of the loopback address that nobody uses at this moment, for programs that cannot choose one themselves.
 *
 * They lie below the ports that the system gives to outgoing connections: of those, some other test's connection
 * may take any between the choice and the program's bind.
 */

import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'

const LOWEST = 10_000
/** Linux' own lowest port for outgoing connections, `net.ipv4.ip_local_port_range`. */
const LOWEST_OUTGOING = 32_768

export const freePort = async (): Promise<number> => (await freePorts(1))[0] as number

/** Different ones: each is held until all are chosen. */
export const freePorts = async (count: number): Promise<number[]> => {
  const holders = await Promise.all(Array.from({ length: count }, holdPort))
  const ports = holders.map((holder) => (holder.address() as AddressInfo).port)
  await Promise.all(
    holders.map(async (holder) => {
      holder.close()
      await once(holder, 'close')
    }),
  )
  return ports
}

const holdPort = async (): Promise<Server> => {
  for (;;) {
    const holder = createServer().listen(randomInt(LOWEST, LOWEST_OUTGOING), '127.0.0.1')
    try {
      await once(holder, 'listening')
      return holder
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    }
  }
}
