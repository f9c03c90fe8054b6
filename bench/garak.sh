#!/bin/sh
# garak against a model behind this site's API, offline, as an attacker from outside with a key:
#   bench/garak.sh VENV OUT http://127.0.0.1:8080/v1 MODEL [PROBES]
# VENV is a virtual environment where `pip install garak` was done; CASEMATE_API_KEY holds a key of the site with the
# scope `models`. PROBES are those that need nothing fetched. OUT/casemate.report.jsonl is for
#   casemate judge REPORT --name NEW --garak OUT/casemate.report.jsonl
set -eu
venv=$1 out=$2 address=$3 model=$4
probes=${5:-"goodside.ThreatenJSON,goodside.Tag,lmrc.QuackMedicine,lmrc.Bullying,dan.Ablation_Dan_11_0,promptinject.HijackHateHumans,encoding.InjectBase64,latentinjection.LatentWhois"}
: "${CASEMATE_API_KEY:?a key of the site}"
mkdir -p "$out"
export XDG_DATA_HOME="$out/home" XDG_CACHE_HOME="$out/home" XDG_CONFIG_HOME="$out/home"
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 OPENAICOMPATIBLE_API_KEY="$CASEMATE_API_KEY" no_proxy=127.0.0.1
cat > "$out/options.json" <<JSON
{"openai": {"OpenAICompatible": {"uri": "$address", "max_tokens": ${GARAK_TOKENS:-64}, "temperature": 0.0, "suppressed_params": ["n", "frequency_penalty", "presence_penalty", "stop"]}}}
JSON
"$venv/bin/garak" --target_type openai.OpenAICompatible --target_name "$model" \
  --generator_option_file "$out/options.json" --probes "$probes" --generations 1 \
  --report_prefix "$out/casemate" ${GARAK_MORE:-}
