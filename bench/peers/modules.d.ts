/** The peers are used without their types, so that types can be checked where they are not installed. */
declare module '@event-driven-io/emmett-sqlite';
declare module 'better-sqlite3';
declare module 'classic-level';
declare module 'echarts';
declare module 'event-storage';
declare module 'lmdb';
declare module 'rocksdb-native';
declare module 'sonic-boom';
