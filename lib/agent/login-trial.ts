/**
 * The one try of a client's own login at the database: its turn before, and what came of it.
 *
 *     source, server, user ─▶ turn ─┬▶ waits, as a stranger ─▶ tried ─┬▶ right: its wrong ones are forgiven
 *                                   └▶ AGENT_LOGIN_TURN               └▶ wrong: counted
 *
 * Passwords can be guessed, so tries at one account have their turns. Whoever has another account, another server, or no
 * login to send at all (`host-login`) never waits for them. A login of the host's own is none of the client's tries.
 */

import { createHash } from 'node:crypto'

import { BackupError } from '../errors/index.ts'
import type { Visitor } from './connection-gate.ts'

export interface LoginTrial {
  /**
   * Waits until it may be tried.
   *
   * @param hurry ends the waiting
   * @returns false when the client has left meanwhile, or was sent away
   * @throws BackupError `AGENT_LOGIN_TURN` when too many wait already
   */
  turn(hurry: AbortSignal): Promise<boolean>
  wasRight(): void
  /** Takes anything that was thrown: only a login that the database refused counts. */
  failedBy(error: unknown): void
}

export interface TriedAccount {
  readonly instance: string | undefined
  readonly user: string | undefined
  readonly isHostLogin?: boolean
}

/** @returns undefined when there is nothing that the client could have guessed */
export const loginTrial = (
  visitor: Visitor,
  { instance, user, isHostLogin = false }: TriedAccount,
): LoginTrial | undefined => {
  if (isHostLogin || user === undefined) return undefined
  const account = accountOf(instance, user)
  return {
    turn: async (hurry) => {
      const turn = await visitor.loginTurn(account, hurry)
      if (turn === 'refused') throw tooMany()
      return turn === 'come'
    },
    wasRight: () => visitor.loginWas(account, true),
    failedBy: (error) => {
      if (error instanceof BackupError && error.code === 'ENGINE_LOGIN') visitor.loginWas(account, false)
    },
  }
}

/** A digest: a name may be as long as a request. */
const accountOf = (instance: string | undefined, user: string): string =>
  createHash('sha256')
    .update(JSON.stringify([instance ?? null, user]))
    .digest('base64')

const tooMany = (): BackupError =>
  new BackupError(
    'AGENT_LOGIN_TURN',
    'too many wrong logins of this user from this address, and others wait for their turn',
    {},
    { hint: 'end what tries an old password, and ask again in a minute' },
  )
