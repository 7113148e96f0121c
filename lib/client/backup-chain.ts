/**
 * Decides whether archives follow each other: a full backup, then increments, each from where the one before it ended.
 *
 *     full     0 ─▶ 1568263
 *     first         1568263 ─▶ 1571003
 *     second                   1571003 ─▶ 1602218
 *
 * The backup programs compare the same numbers, but only after they have begun to change the
 * base. Here nothing is touched: what is known of each link (by its receipt, by what it says
 * itself) is held against the link before it. Pure.
 */

import type { LogSequenceNumbers } from '../archive/index.ts'
import { BackupError, type Facts } from '../errors/index.ts'
import type { Receipt } from './receipt.ts'
import { isSameServer, serverDifference } from './server-names.ts'

/** What is known of one archive. What is not known is not compared. */
export interface ChainLink {
  readonly path: string
  readonly engine: string
  readonly backupType: string | undefined
  /** Where it begins and ends, and how far its redo log goes, as digits. */
  readonly lsn: LogSequenceNumbers
  readonly sha256: string
  /** By its receipt: which server it is of, and what it was made upon. */
  readonly server?: Receipt['server']
  readonly base?: Receipt['base']
}

const PREPARABLE: readonly string[] = ['mariadb-backup', 'xtrabackup']

/** @throws BackupError `CLIENT_CHAIN`, naming the first link that does not fit and both numbers */
export const checkChain = (links: readonly ChainLink[]): void => {
  const [base, ...increments] = links
  if (base === undefined) throw new Error('bug: a chain without a base')
  checkBase(base)
  let previous = base
  for (const [index, link] of increments.entries()) {
    checkTwice(link, links.slice(0, index + 1))
    checkKind(link, base)
    checkNumbers(link, previous, links)
    checkOrder(link, previous)
    checkServer(link, previous)
    previous = link
  }
}

/** @throws BackupError `CLIENT_CHAIN` when it is an increment: it holds no database by itself */
export const checkBase = ({
  path,
  backupType,
  lsn,
  base,
}: Pick<ChainLink, 'path' | 'backupType' | 'lsn' | 'base'>): void => {
  if (backupType !== 'incremental') return
  const upon = base?.sid === undefined ? '' : `, the session "${base.sid}"`
  throw broken(`${path} is an increment since LSN ${lsn.from ?? '?'}: a chain begins with a full backup`, {
    hint: `name the backup that ends at LSN ${lsn.from ?? '?'}${upon} before it`,
    facts: { path, fromLsn: lsn.from ?? null },
  })
}

const checkKind = ({ path, backupType, engine }: ChainLink, base: ChainLink): void => {
  if (!PREPARABLE.includes(base.engine)) {
    throw broken(`${base.path} is a backup by ${base.engine}: no increment can be applied to it`, {
      hint: 'only backups by mariadb-backup and xtrabackup have increments',
      facts: { path: base.path, engine: base.engine },
    })
  }
  if (base.backupType === 'full-prepared') {
    throw broken(`${base.path} was made of a backup that had been prepared: no increment can be applied to it`, {
      hint: 'take the archive as it was fetched',
      facts: { path: base.path },
    })
  }
  if (backupType !== 'incremental') {
    throw broken(`expected ${path} to be an increment, found that it calls itself ${backupType ?? 'nothing'}`, {
      hint: 'the full backup comes first, and there is one of it',
      facts: { path },
    })
  }
  if (engine === base.engine) return
  throw broken(`${path} is an increment by ${engine}, and ${base.path} is a backup by ${base.engine}`, {
    hint: 'one program makes a whole chain: name the increments of that backup',
    facts: { path, engine, baseEngine: base.engine },
  })
}

const checkTwice = (link: ChainLink, before: readonly ChainLink[]): void => {
  const same = before.find(({ sha256 }) => sha256 === link.sha256)
  if (same === undefined) return
  const which = same.path === link.path ? '' : `, the other time as ${same.path}`
  throw broken(`${link.path} stands twice in the chain${which}: LSN ${link.lsn.from ?? '?'} to ${link.lsn.to ?? '?'}`, {
    hint: 'name every archive once',
    facts: { path: link.path, other: same.path },
  })
}

const checkNumbers = ({ path, lsn }: ChainLink, previous: ChainLink, links: readonly ChainLink[]): void => {
  const [from, end] = [lsn.from, previous.lsn.to]
  if (from !== undefined && from === end) return
  // Whichever of the others ends there shows that only the order is wrong.
  const fitting = from === undefined ? undefined : links.find((other) => other.path !== path && other.lsn.to === from)
  throw broken(`${path} begins at LSN ${from ?? '?'}, and ${previous.path} before it ends at ${end ?? '?'}`, {
    hint:
      fitting === undefined
        ? `an increment that begins at LSN ${end ?? '?'} is missing, or this one belongs to another chain`
        : `it belongs behind ${fitting.path}`,
    facts: { path, previous: previous.path, fromLsn: from ?? null, previousToLsn: end ?? null },
  })
}

/** A server that wrote no checkpoint in between gives several increments the same numbers; its redo log went on. */
const checkOrder = ({ path, lsn }: ChainLink, previous: ChainLink): void => {
  const [last, before] = [lsn.last, previous.lsn.last]
  if (last === undefined || before === undefined || BigInt(last) >= BigInt(before)) return
  throw broken(`${path} shows the server at LSN ${last}, and ${previous.path} before it shows it later, at ${before}`, {
    hint: `it belongs before ${previous.path}`,
    facts: { path, previous: previous.path, lastLsn: last, previousLastLsn: before },
  })
}

const checkServer = ({ path, server, base }: ChainLink, previous: ChainLink): void => {
  const difference = serverDifference(previous.server, server)
  if (difference !== undefined) {
    throw broken(`${path} and ${previous.path} before it are of two servers, as their receipts say: ${difference}`, {
      hint: 'the numbers fit by chance: name the increments of one server',
      facts: { path, previous: previous.path },
    })
  }
  // The same numbers may stand in two histories. Where no name tells, the digest of the base does.
  if (base?.sha256 === undefined || base.sha256 === previous.sha256 || isSameServer(previous.server, server)) return
  throw broken(
    `${path} was made upon an archive with the digest ${base.sha256}, and ${previous.path} has ${previous.sha256}`,
    {
      hint: 'the numbers fit by chance: name the archive that it was made upon',
      facts: { path, previous: previous.path, baseSha256: base.sha256, previousSha256: previous.sha256 },
    },
  )
}

const broken = (message: string, { hint, facts }: { readonly hint: string; readonly facts: Facts }): BackupError =>
  new BackupError('CLIENT_CHAIN', message, facts, { hint })
