#!/bin/sh
# Profile script of a stand-in for WSO2 API Manager:
#   profileSetup.sh -Dprofile=NAME [--skipConfigOptimization]
# The profile counts in the first place only, and everything is found from the folder of the script, where a blank in the path
# leads astray: both as measured on the product's script.

caller=$(pwd)
cd $(dirname "$0")

conf=../repository/conf
server=../repository/deployment/server
templates=../repository/resources/conf/templates/repository
deployment_templates=../repository/resources/conf/deployment-templates

say() {
  echo "[$(date '+%Y-%m-%d %H:%M:%S')] INFO - $*"
}

skip=false
for option in $*; do
  case "$option" in
    skipConfigOptimization | -skipConfigOptimization | --skipConfigOptimization)
      skip=true
      say "Passed 'skipConfigOptimization' Option: true. So going to run Profile Optimization without doing the config optimizations"
      ;;
  esac
done

drop_file() {
  if [ -e "$1" ]; then
    rm -r "$1"
    say "Removed the $(basename "$1") file from $(dirname "$1")"
  fi
}

drop_websocket_endpoints() {
  for name in WebSocketInboundEndpoint SecureWebSocketInboundEndpoint; do
    drop_file "$server/synapse-configs/default/inbound-endpoints/$name.xml"
    drop_file "$templates/deployment/server/synapse-configs/default/inbound-endpoints/$name.xml.j2"
  done
}

# swap_template FILE REPLACEMENT BACKUP
swap_template() {
  if [ -e "$1" ] && [ -e "$2" ]; then
    mv "$1" "$3"
    say "Renamed the existing $1 file as $(basename "$3")"
    mv "$2" "$1"
    say "Renamed the existing $2 file as $(basename "$1")"
  fi
}

# The second run without the flag moves the template over the only copy of the original.
replace_configuration() {
  if [ "$skip" = true ]; then
    say "Config optimizations in deployment.toml skipped since the option --skipConfigOptimization is passed"
    return
  fi
  say "Starting to optimize configs in deployment.toml"
  if [ -e "$conf/deployment.toml" ] && [ -e "$deployment_templates/$1.toml" ]; then
    mv "$conf/deployment.toml" "$conf/deployment.toml.backup"
    say "Renamed the existing $conf/deployment.toml file as deployment.toml.backup"
    cp "$deployment_templates/$1.toml" "$conf/deployment.toml"
    say "Copied the existing $deployment_templates/$1.toml file as $conf/deployment.toml"
  fi
}

drop_synapse_configuration() {
  for entry in $(find "$server/synapse-configs/default" -mindepth 1 -maxdepth 1 -not -name synapse.xml); do
    rm -r $entry
    say "Removed $(basename "$entry") from $server/synapse-configs/default"
  done
}

# keep_webapps PATTERN...: all others go, those of a customer too.
keep_webapps() {
  for entry in $(find "$server/webapps" -mindepth 1 -maxdepth 1); do
    kept=false
    for pattern in "$@"; do
      case "$(basename "$entry")" in
        $pattern) kept=true ;;
      esac
    done
    if [ "$kept" = false ] && [ -e "$entry" ]; then
      rm -r $entry
      say "Removed the $(basename "$entry") file from $server/webapps"
      unpacked="$server/webapps/$(basename "$entry" .war)"
      [ -d "$unpacked" ] && rm -r "$unpacked"
    fi
  done
}

# keep_jaggeryapps NAME...
keep_jaggeryapps() {
  for entry in $(find "$server/jaggeryapps" -mindepth 1 -maxdepth 1 -type d); do
    case " $* " in
      *" $(basename "$entry") "*) ;;
      *)
        rm -r $entry
        say "Removed $(basename "$entry") directory from $server/jaggeryapps"
        ;;
    esac
  done
}

case $1 in
  -Dprofile=api-key-manager@OLD@)
    say "Starting to optimize API Manager for the Key Manager profile"
    drop_file "$conf/axis2/axis2_blocking_client.xml"
    drop_file "$templates/conf/axis2/axis2_blocking_client.xml.j2"
    swap_template "$templates/conf/axis2/axis2.xml.j2" "$templates/conf/axis2/axis2_KM.xml.j2" "$templates/conf/axis2/axis2.xml.j2.backup"
    drop_websocket_endpoints
    drop_synapse_configuration
    replace_configuration api-key-manager@OLD@
    keep_webapps 'client-registration#v*.war' authenticationendpoint accountrecoveryendpoint oauth2.war keymanager-operations.war
    keep_jaggeryapps
    ;;
  -Dprofile=api-publisher@OLD@)
    say "Starting to optimize API Manager for the API Publisher profile"
    replace_configuration api-publisher@OLD@
    drop_websocket_endpoints
    keep_webapps 'client-registration#v*.war' authenticationendpoint accountrecoveryendpoint oauth2.war 'api#am#publisher*.war' 'api#am#admin*.war' 'internal#data#v*.war'
    keep_jaggeryapps admin publisher
    ;;
  -Dprofile=api-devportal@OLD@)
    say "Starting to optimize API Manager for the Developer Portal profile"
    replace_configuration api-devportal@OLD@
    drop_websocket_endpoints
    keep_webapps 'client-registration#v*.war' authenticationendpoint accountrecoveryendpoint oauth2.war 'api#am#devportal*.war' 'api#am#admin*.war' 'internal#data#v*.war'
    keep_jaggeryapps devportal
    ;;
#@if control-plane
  -Dprofile=control-plane)
    say "Starting to optimize API Manager for the Control Plane profile"
    replace_configuration control-plane
    drop_websocket_endpoints
    ;;
#@end
  -Dprofile=traffic-manager)
    say "Starting to optimize API Manager for the Traffic Manager profile"
    swap_template "$templates/conf/axis2/axis2.xml.j2" "$templates/conf/axis2/axis2_TM.xml.j2" "$templates/conf/axis2/axis2.xml.j2.backup"
    swap_template "$templates/conf/registry.xml.j2" "$templates/conf/registry_TM.xml.j2" "$templates/conf/registry.backup"
    replace_configuration traffic-manager
    drop_websocket_endpoints
    drop_synapse_configuration
    keep_webapps 'internal#data#v*.war'
    keep_jaggeryapps
    ;;
  -Dprofile=gateway-worker)
    say "Starting to optimize API Manager for the Gateway worker profile"
    replace_configuration gateway-worker
    keep_webapps 'am#sample#pizzashack#v*.war' 'api#am#gateway#v2.war'
    keep_jaggeryapps
    ;;
  *)
    echo "Profile is not specified properly, please try again"
    cd $caller
    exit
    ;;
esac

echo Finished the optimizations
cd $caller
