#!/bin/sh
# Start script of a stand-in for a WSO2 server. It is packed as @SCRIPT@ and takes what the product's own script takes:
#   @SCRIPT@ [start|stop|restart|version|test|debug PORT] [-Dproperty[=value] ...]
# Each oddity below was measured on the product's script; a tidier script would hide what an upgrade tool has to survive.

self="$0"
while [ -h "$self" ]; do
  target=$(readlink "$self")
  case "$target" in
    /*) self="$target" ;;
    *) self="$(dirname "$self")/$target" ;;
  esac
done

# A CARBON_HOME from outside wins over the place of the script.
if [ -z "$CARBON_HOME" ]; then
  CARBON_HOME=$(cd "$(dirname "$self")/.." && pwd)
fi
pid_file="$CARBON_HOME/wso2carbon.pid"

# The launcher is looked for before any command is read, so version and stop need it too. Without JAVA_HOME the test is for a
# file "java" in the current folder.
if [ -z "$JAVACMD" ]; then
  JAVACMD=java
  if [ -n "$JAVA_HOME" ]; then
    JAVACMD="$JAVA_HOME/bin/java"
    [ -x "$JAVA_HOME/jre/sh/java" ] && JAVACMD="$JAVA_HOME/jre/sh/java"
  fi
fi
if [ ! -x "$JAVACMD" ]; then
  echo "Error: JAVA_HOME is not defined correctly."
  echo " CARBON cannot execute $JAVACMD"
  exit 1
fi
if [ -z "$JAVA_HOME" ]; then
  echo "You must set the JAVA_HOME variable before running CARBON."
  exit 1
fi

[ -e "$pid_file" ] && PID=$(cat "$pid_file")

launch_in_background() {
  export CARBON_HOME
  # No setsid: the server stays in the caller's session.
  nohup sh "$CARBON_HOME/bin/@SCRIPT@" $1 > /dev/null 2>&1 &
}

# An argument with a blank falls apart here and below.
rest=""
debug_port=""
for word in $*; do
  case "$word" in
    start | -start | --start) command=start ;;
    stop | -stop | --stop) command=stop ;;
    restart | -restart | --restart) command=restart ;;
    version | -version | --version) command=version ;;
    test | -test | --test) command=test ;;
    debug | -debug | --debug) command=debug ;;
#@if optimize
    optimize | -optimize | --optimize)
      skip=""
      case " $* " in
        *" --skipConfigOptimization "* | *" -skipConfigOptimization "* | *" skipConfigOptimization "*)
          skip=--skipConfigOptimization
          echo "Passed skipConfigOptimization Option: true"
          ;;
      esac
      for candidate in $*; do
        case "$candidate" in
          *Dprofile=*)
            cd $(dirname "$0")
            sh profileSetup.sh $candidate $skip
            echo "Starting the server..."
            ;;
        esac
      done
      ;;
#@end
    *)
      if [ "$command" = debug ]; then
        [ -z "$debug_port" ] && debug_port="$word"
      else
        rest="$rest $word"
      fi
      ;;
  esac
done

case "$command" in
  start)
    # Whose process it is, nobody asks.
    if [ -e "$pid_file" ] && ps -p $PID > /dev/null; then
      echo "Process is already running"
      exit 0
    fi
    launch_in_background "$rest"
    exit 0
    ;;
  stop)
    kill -TERM $(cat "$pid_file")
    exit 0
    ;;
  restart)
    pid=$(cat "$pid_file")
    kill -TERM $pid
    while :; do
      sleep 1
      ps -p $pid > /dev/null 2>&1 || break
    done
    launch_in_background "$rest"
    exit 0
    ;;
  version)
    cat "$CARBON_HOME/bin/version.txt"
    cat "$CARBON_HOME/bin/wso2carbon-version.txt"
    exit 0
    ;;
  debug)
    if [ -z "$debug_port" ]; then
      echo " Please specify the debug port after the --debug option"
      exit 1
    fi
    [ -n "$JAVA_OPTS" ] && echo "Warning !!!. User specified JAVA_OPTS will be ignored, once you give the --debug option."
    JAVA_OPTS="-Xdebug -Xrunjdwp:transport=dt_socket,server=y,suspend=y,address=$debug_port"
    echo "Please start the remote debugging client to continue..."
    ;;
  test) JAVACMD="exec $JAVACMD" ;;
esac

# A JDK that is too old or too new gets two lines and is used all the same.
jdk=$($JAVACMD -version 2>&1 | sed -n 's/.*version "\([^"]*\)".*/\1/p')
jdk_major=${jdk%%.*}
jdk_rest=${jdk#*.}
[ "$jdk_major" = 1 ] && jdk_major=${jdk_rest%%.*}
if [ "${jdk_major:-0}" -lt 7 ] || [ "$jdk_major" -gt 11 ]; then
  echo " Starting WSO2 Carbon (in unsupported JDK)"
  echo " [ERROR] CARBON is supported only on JDK 1.7, 1.8, 9, 10 and 11"
fi

classpath=""
for jar in "$CARBON_HOME"/bin/*.jar "$CARBON_HOME"/lib/*.jar@ENDORSED@; do
  [ -e "$jar" ] && classpath="$classpath:$jar"
done

echo JAVA_HOME environment variable is set to $JAVA_HOME
echo CARBON_HOME environment variable is set to "$CARBON_HOME"

cd "$CARBON_HOME"
[ -d tmp ] && rm -rf "$CARBON_HOME"/tmp/*

[ -z "$JVM_MEM_OPTS" ] && JVM_MEM_OPTS="-Xms256m -Xmx1024m"
echo "Using Java memory options: $JVM_MEM_OPTS"

module_options=""
[ "${jdk_major:-0}" -ge 11 ] && module_options="--add-opens=java.base/java.net=ALL-UNNAMED --add-opens java.rmi/sun.rmi.transport=ALL-UNNAMED"

# 121 asks for another launch with the same arguments, -Dmigrate too. Any other status ends the loop and is forgotten: the
# script's own status is 0.
status=121
while [ "$status" = 121 ]; do
  $JAVACMD \
    $JVM_MEM_OPTS \
    -XX:+HeapDumpOnOutOfMemoryError \
    -XX:HeapDumpPath="$CARBON_HOME/repository/logs/heap-dump.hprof" \
    $JAVA_OPTS \
    -Dcom.sun.management.jmxremote \
    -classpath "$classpath" \
    $module_options \
    -Djava.io.tmpdir="$CARBON_HOME/tmp" \
    -Dcatalina.base="$CARBON_HOME/lib/tomcat" \
    -Dwso2.server.standalone=true \
    -Dcarbon.registry.root=/ \
    -Djava.command="$JAVACMD" \
    -Dcarbon.home="$CARBON_HOME" \
    -Dcarbon.config.dir.path="$CARBON_HOME/repository/conf" \
    -Dcomponents.repo="$CARBON_HOME/repository/components/plugins" \
    -Dconf.location="$CARBON_HOME/repository/conf" \
    -Dfile.encoding=UTF8 \
    -Djava.net.preferIPv4Stack=true \
    -DworkerNode=false \
    -Dhttpclient.hostnameVerifier=DefaultAndLocalhost \
    -Dcarbon.new.config.dir.path="$CARBON_HOME/repository/resources/conf" \
    org.wso2.carbon.bootstrap.Bootstrap $*
  status=$?
done
