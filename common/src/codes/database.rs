//! Databases.

super::codes! {
    DB_UNREACHABLE = 4001, "the database cannot be reached",
        cause: "The connection was refused, timed out, or the login failed.",
        certain: "No statement was begun in this attempt.", unknown: "Nothing.",
        remedy: "Check address, account and network from the node that is named, then retry the step.";
    DB_NEEDS_TLS = 4002, "the database account's login needs TLS",
        cause: "The account logs in with sha256_password or caching_sha2_password, and the connection is not encrypted.",
        certain: "No statement was begun and the password was not sent.", unknown: "Nothing.",
        remedy: "Set `tls: true` and the CA for this database in the fleet file, or give the account another login method.";
    DB_QUERY = 4003, "a query of ours failed",
        cause: "The server refused a question or a write to our own tables, mostly for a missing right or a full disk.",
        certain: "No further statement of a script was begun.",
        unknown: "Where the outcome of a statement could not be written: the next attempt looks for it.",
        remedy: "Read the server's message, correct the cause, then retry the step.";
    DB_CLIENT = 4004, "the database's own client failed",
        cause: "psql, pg_dump, pg_restore, mariadb or mariadb-dump (mysql, mysqldump) is missing or ended with an error.",
        certain: "The database that the step names was not changed, unless the step is a restore.",
        unknown: "How far a restore came: it is repeated from the beginning.",
        remedy: "Install the client of the server's version on the node, or name its folder in the fleet file; then retry.";
    DB_INCARNATION = 4005, "the database is not the one that is meant",
        cause: "It was restored, copied or replaced since the journal met it, or the address leads to another one.",
        certain: "No statement was begun in this attempt.", unknown: "Who replaced the database, and by which state.",
        remedy: "Compare address and content with what you expect; after a wanted restore plan again.";
    DB_SETTING = 4006, "a setting of the server changes what the script means",
        cause: "autocommit is off, sql_mode holds ANSI_QUOTES or NO_BACKSLASH_ESCAPES, or standard_conforming_strings is off.",
        certain: "No statement was begun in this attempt.", unknown: "Nothing.",
        remedy: "Set the server's default back for the account that runs the script, then retry the step.";
    DB_SESSIONS = 4007, "other sessions are in the database",
        cause: "A server or a person is still connected.",
        certain: "Nothing was changed by this step.", unknown: "What those sessions wrote meanwhile.",
        remedy: "Stop what is connected (the sessions are listed), then retry the step.";
    DB_NOT_EMPTY = 4008, "the database that must be empty is not",
        cause: "The scratch database, or the one to restore into, holds tables or other objects.",
        certain: "Nothing in it was changed.", unknown: "Whose objects they are.",
        remedy: "Look at the objects; empty the database by hand, or name another one.";
    DB_SESSIONS_HIDDEN = 4009, "the account does not see the sessions of others",
        cause: "The account of the fleet file has neither PROCESS (MySQL, MariaDB) nor pg_read_all_stats (PostgreSQL).",
        certain: "Nothing was changed by this step.", unknown: "Whether anybody else is in the database.",
        remedy: "Grant the account that right, then retry the step.";
    DB_HOST_UNKNOWN = 4010, "a host that sessions may come from has no address",
        cause: "The name cannot be resolved on the node that looks at the database.",
        certain: "Nothing was changed by this step.", unknown: "Which sessions come from that host.",
        remedy: "Correct the name in the fleet file or the resolver of the node, then retry the step.";
    DB_ACCOUNTS = 4011, "the servers' accounts cannot be locked",
        cause: "The account of the fleet file may not alter them (CREATE USER on MySQL and MariaDB, CREATEROLE on PostgreSQL), \
                the servers log in with the same account, or the server is too old for it.",
        certain: "Nothing was changed by this step, unless it is told as a remark: then nobody was connected when it began.",
        unknown: "Whether a server connects while the database is restored.",
        remedy: "Give the account that right, or stop all servers and keep them down; then retry the step.";
    SQL_REFUSED = 4020, "the script is refused",
        cause: "It is not closed somewhere, holds commands of the database's client, or cannot be run statement by statement.",
        certain: "No statement was begun.", unknown: "Nothing.",
        remedy: "Look at the line; take the script for this engine from its source, or correct it and pin the new digest.";
    SQL_FAILED = 4021, "a statement failed",
        cause: "The server refused it; its code and message are shown.",
        certain: "All statements before it are done, it and all behind it are not.",
        unknown: "On engines without transactions, whether it changed some rows.",
        remedy: "Correct the cause in the database, then retry: the script goes on at this statement. One that is not needed \
                 is left out by `cavalcade resolve STEP --done`. Else restore the backup.";
    SQL_INTERRUPTED = 4022, "the connection ended in a statement",
        cause: "The server stopped, the network broke, or someone ended the session.",
        certain: "All statements before it are done. The server may still be executing it.",
        unknown: "Whether it takes place.",
        remedy: "Retry the step: it waits for the statement and looks what became of it.";
    SQL_INDETERMINATE = 4023, "whether a statement took place cannot be seen",
        cause: "It was begun and its end was not recorded, and its effect cannot be seen in the schema, or the state of its \
                session is lost.",
        certain: "What is listed as known. Nothing of the script runs any more.",
        unknown: "What is listed as not known.",
        remedy: "Look into the database, then decide with `cavalcade resolve`: `--done` goes on behind the statement, \
                 `--not-done` runs it again; where statements hang together, both are about all of them. Or restore the backup.";
    SQL_OTHER_SCRIPT = 4024, "the script is not the one that was planned or begun",
        cause: "The file was changed after planning, or this effect was begun with another version of the script.",
        certain: "No statement was begun in this attempt.", unknown: "Nothing.",
        remedy: "Bring back the script that was begun, or restore the database's backup and begin with the new one.";
    SQL_EPOCH = 4025, "a newer controller wrote to this database's ledger",
        cause: "The command comes from a controller that was replaced.",
        certain: "No statement was begun in this attempt.", unknown: "Nothing.",
        remedy: "Use the newest controller; if it was lost, `cavalcade adopt` takes over.";
    SQL_LOCK = 4026, "another account holds the script's lock",
        cause: "A session that is not of the account in the fleet file holds the named lock.",
        certain: "No statement was begun in this attempt.", unknown: "What that session does.",
        remedy: "Find the session by its number in the server; end it, or wait for it; then retry the step.";
    SQL_DECISION = 4027, "the decision does not fit the open statement",
        cause: "The ledger moved on since the decision was made, or the decision names another statement.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Look at the step again and decide about the statement that it shows.";
    BACKUP_FILE = 4040, "a file of the backup cannot be written or read",
        cause: "No room, no right, or the folder is missing.",
        certain: "The database was not changed.", unknown: "Nothing.",
        remedy: "Correct the cause on the node, then retry the step.";
    BACKUP_DAMAGED = 4041, "the backup is not what was written",
        cause: "The dump's digest differs from the manifest's, or the manifest cannot be read.",
        certain: "Nothing was restored from it.", unknown: "Who changed the file, or whether the disk is sound.",
        remedy: "Use another copy of the backup.";
    BACKUP_DIFFERS = 4042, "the restored database differs from the one that was dumped",
        cause: "Rows were written during the dump, or the dump does not hold everything.",
        certain: "The backup does not count. After a restore: the database is not fit for use.",
        unknown: "Which of the causes it was; the differences are listed.",
        remedy: "Stop everything that writes, then retry the step.";
    BACKUP_SCRATCH = 4043, "there is no usable scratch database",
        cause: "The fleet file names none, or names the database itself.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Make an empty database on the same server, owned by the same account, and name it as `scratch`.";
    BACKUP_OTHER = 4044, "the backup is of another database",
        cause: "The folder that the step names holds the dump of a database of another name.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Name the folder of this database's own backup: FOLDER/RUN/NAME.";
    ASSERTION = 4050, "an assertion on a database does not hold",
        cause: "A table, column or value is not as the step demands.",
        certain: "The assertion changed nothing.", unknown: "Nothing.",
        remedy: "Compare the database with what the evidence names; repair it or restore it, then retry the step.";
}
