/**
 * Finds the version in what a backup program says to `--version`.
 *
 *     mariadb-backup based on MariaDB server 10.11.19-MariaDB debian-linux-gnu (x86_64)      → mariadb-backup 10.11.19
 *     mariadb-backup from 11.8.2-MariaDB, client 15.2 for debian-linux-gnu (x86_64)          → mariadb-backup 11.8.2
 *     xtrabackup version 8.0.35-31 based on MySQL server 8.0.35 Linux (x86_64) (revision …)  → xtrabackup 8.0.35-31
 *
 * The programs may say other things first, about option files and arguments. Pure.
 */

export interface ProgramVersion {
  readonly name: 'mariadb-backup' | 'xtrabackup'
  readonly version: string
  readonly major: number
}

const MARIADB = /^\S*maria(?:db-)?backup\S* (?:based on MariaDB server|from|version) (?:Ver )?((\d+)\.\d+\.\d+)/m
const XTRABACKUP = /^\S*xtrabackup\S* version ((\d+)\.\d+\.\d+[-\w.]*)/m

export const parseProgramVersion = (text: string): ProgramVersion | undefined => {
  const mariadb = MARIADB.exec(text)
  const found = mariadb ?? XTRABACKUP.exec(text)
  const [, version, major] = found ?? []
  if (version === undefined || major === undefined) return undefined
  return { name: mariadb === null ? 'xtrabackup' : 'mariadb-backup', version, major: Number(major) }
}
