{{/* A value as it was written: a number of a values file is a float, which would be 1.6777216e+07. */}}
{{- define "kaoping.written" -}}
{{- kindIs "float64" . | ternary (int64 .) . | toString -}}
{{- end -}}

{{/* A quantity of Kubernetes in thousandths, of a core or of a byte; values.schema.json takes these suffixes. */}}
{{- define "kaoping.thousandths" -}}
{{- $text := include "kaoping.written" . -}}
{{- $suffix := regexReplaceAll "[0-9.]" $text "" -}}
{{- $units := dict "m" 1 "" 1e3 "k" 1e6 "M" 1e9 "G" 1e12 "T" 1e15 "Ki" 1024e3 "Mi" 1048576e3 "Gi" 1073741824e3 "Ti" 1099511627776e3 -}}
{{- mulf (trimSuffix $suffix $text) (get $units $suffix) -}}
{{- end -}}

{{/* Resources of a part as they are, or a refusal: (list "api" .Values.api.resources). */}}
{{- define "kaoping.resources" -}}
{{- $part := index . 0 -}}
{{- $resources := index . 1 -}}
{{- range $name, $request := $resources.requests -}}
{{- $limit := index $resources.limits $name -}}
{{- if and $limit (gt (include "kaoping.thousandths" $request | float64) (include "kaoping.thousandths" $limit | float64)) -}}
{{- fail (printf "%s.resources.requests.%s (%s) is above its limit (%s): lower it, or raise the limit." $part $name (include "kaoping.written" $request) (include "kaoping.written" $limit)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}
