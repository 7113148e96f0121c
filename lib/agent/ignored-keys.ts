/**
 * Keys of deployed clients that once decided what ran on this host, and decide nothing any more.
 *
 * They are known so that whoever looks for their effect finds a line in the log. To ignore them changes
 * nothing of what the client receives. Why each of them: PROTOCOL.md, "What a client may name".
 */

export const DECIDE_NOTHING: ReadonlySet<string> = new Set([
  'xtrabackup-agent:innobackupex-path',
  'xtrabackup-agent:mysql-install-path',
  'xtrabackup-agent:perl-lib-extra',
  'tmpdir',
  'xtrabackup-agent:clean-tmpdir',
  'xtrabackup-agent:stats-db-path',
  'xtrabackup-agent:stats-history',
  'xtrabackup-client:send_nsca-path',
  'xtrabackup-client:send_nsca-config',
  'xtrabackup-client:nagios-host',
  'xtrabackup-client:nagios-service',
  'copy-plugin',
])
