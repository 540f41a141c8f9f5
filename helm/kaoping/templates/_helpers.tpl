{{- define "kaoping.name" -}}
{{- trimAll "-." (default .Chart.Name .Values.nameOverride | trunc 40) -}}
{{- end -}}

{{/* Services are named by it: a letter first, and no dot, which names of releases may have. */}}
{{- define "kaoping.fullname" -}}
{{- $name := include "kaoping.name" . -}}
{{- $full := .Values.fullnameOverride -}}
{{- if not $full -}}
{{- $full = contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- end -}}
{{- $full = trimAll "-" ($full | replace "." "-" | trunc 40) -}}
{{- if not (regexMatch "^[a-z]" $full) -}}
{{- fail (printf "A Service cannot be called %s, since that begins with a digit: set fullnameOverride." $full) -}}
{{- end -}}
{{- $full -}}
{{- end -}}

{{- define "kaoping.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods of one part: (list . "api"). It never changes between versions. */}}
{{- define "kaoping.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "kaoping.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "kaoping.labels" -}}
{{- $root := index . 0 -}}
{{ include "kaoping.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: kaoping
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "kaoping.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "kaoping.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "kaoping.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "kaoping.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "kaoping.fromSecret" -}}
valueFrom: { secretKeyRef: { name: {{ .secretName | quote }}, key: {{ .key | quote }} } }
{{- end -}}

{{/* Environment of every part. The owner's credentials are not in it. */}}
{{- define "kaoping.environment" -}}
- name: KAOPING_DATABASE_URL
  {{- include "kaoping.fromSecret" .Values.database.appUrl | nindent 2 }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ include "kaoping.written" $value | quote }}
{{- end }}
{{- end -}}

{{/* What API and workers have besides. */}}
{{- define "kaoping.programEnvironment" -}}
{{ include "kaoping.environment" . }}
- name: KAOPING_REDIS_URL
  {{- include "kaoping.fromSecret" .Values.redis.url | nindent 2 }}
- name: KAOPING_SIGNING_KEY
  {{- include "kaoping.fromSecret" .Values.signingKey | nindent 2 }}
{{- end -}}

{{/* Scheduling of a part's pods: (list . "api" .Values.api). */}}
{{- define "kaoping.scheduling" -}}
{{- $root := index . 0 -}}
{{- $part := index . 2 -}}
topologySpreadConstraints:
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ $root.Values.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels: {{- include "kaoping.selector" (list $root (index $ 1)) | nindent 8 }}
{{- end }}
{{- with $part.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $part.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* What a pod's specification begins with, whatever it runs. */}}
{{- define "kaoping.podBasics" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{- include "kaoping.podSecurity" . | nindent 2 }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}
