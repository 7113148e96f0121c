/**
 * The environment a backup program gets: made new, never inherited.
 *
 * What an agent happens to carry would change what the program does (`LD_PRELOAD`,
 * `MYSQL_PWD`, `MYSQL_HOME`, `NODE_OPTIONS`, `UMASK`) or the language of its words, which
 * we read. `HOME` is left out on purpose: it would bring `~/.my.cnf` in.
 *
 * Rule: SECURITY.md, "What is protected today".
 */

/** For a host whose agent has no `PATH` of its own. */
export const DEFAULT_SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** @param timeZone the agent's `TZ`, so that a child's times and ours agree */
export const cleanEnvironment = (searchPath: string, timeZone: string | undefined): Record<string, string> => ({
  PATH: searchPath,
  LANG: 'C',
  LC_ALL: 'C',
  ...(timeZone === undefined ? {} : { TZ: timeZone }),
})
