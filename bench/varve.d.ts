/** So that types are checked without a build. */
export * from 'varve';
export * from 'varve/xstate';
