#!/usr/bin/env bash
# A SLURM of one machine, on 127.0.0.1 only, for tests: as root, with Debian's slurm-wlm and munge.
#   tests/cluster/slurm.sh start DIR     then: export SLURM_CONF=DIR/slurm.conf PATH=DIR/bin:$PATH
#   tests/cluster/slurm.sh stop DIR      ends the daemons that it started, and no others
set -euo pipefail
command=$1 dir=$(realpath "$2")
export SLURM_CONF=$dir/slurm.conf

configure() {
  mkdir -p "$dir"/{bin,munge,spool,state}
  chmod 700 "$dir/munge"
  head -c 1024 /dev/urandom > "$dir/munge/key"
  chmod 400 "$dir/munge/key"
  local host memory
  host=$(hostname -s)
  memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.9)}' /proc/meminfo)
  cat > "$SLURM_CONF" <<CONF
ClusterName=hprune
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
  # There is no accounting: what submitit asks of sacct is answered by scontrol.
  cat > "$dir/bin/sacct" <<'SACCT'
#!/usr/bin/env bash
echo "JobID|State|NodeList"
while (($#)); do
  if [ "$1" = -j ]; then
    scontrol --oneliner show job "$2" 2> /dev/null | awk '{
      split("", job)
      for (i = 1; i <= NF; i++) { at = index($i, "="); job[substr($i, 1, at - 1)] = substr($i, at + 1) }
      if ("JobId" in job) {
        id = "ArrayJobId" in job ? job["ArrayJobId"] "_" job["ArrayTaskId"] : job["JobId"]
        print id "|" job["JobState"] "|" job["NodeList"]
      }
    }'
  fi
  shift
done
SACCT
  chmod +x "$dir/bin/sacct"
}

start() {
  configure
  munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munged.pid" \
    --log-file="$dir/munge/log" --seed-file="$dir/munge/seed"
  slurmctld
  slurmd
  for _ in $(seq 60); do
    if timeout 5 sinfo --noheader --format %T 2> /dev/null | grep -q idle; then return; fi
    sleep 0.5
  done
  tail -n 5 "$dir"/*.log >&2
  echo "the node did not become idle within 30 seconds" >&2
  exit 1
}

stop() {
  timeout 10 scancel --user "$(id -un)" || true
  sleep 1
  for daemon in slurmd slurmctld munged; do
    if [ -f "$dir/$daemon.pid" ]; then
      pid=$(cat "$dir/$daemon.pid")
      kill "$pid" 2> /dev/null || continue
      for _ in $(seq 40); do kill -0 "$pid" 2> /dev/null || break; sleep 0.25; done
    fi
  done
}

case $command in
  start) mkdir -p "$dir"; start ;;
  stop) stop ;;
  *) echo "usage: $0 start|stop DIR" >&2; exit 2 ;;
esac
