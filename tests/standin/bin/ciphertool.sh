#!/bin/sh
# Cipher tool of a stand-in: ciphertool.sh -Dconfigure -Dpassword=PASSWORD. What it does is in tests/src/standin/cipher_tool.rs.

if [ -z "$JAVA_HOME" ]; then
  echo "You must set the JAVA_HOME variable before running CARBON."
  exit 1
fi

# A CARBON_HOME from outside wins over the place of the script.
if [ -z "$CARBON_HOME" ]; then
  CARBON_HOME=$(cd "$(dirname "$0")/.." && pwd)
fi

"$JAVA_HOME/bin/java" -Dcarbon.home="$CARBON_HOME" -classpath "$CARBON_HOME/lib" org.wso2.ciphertool.CipherTool $*
