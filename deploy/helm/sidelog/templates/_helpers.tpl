{{- define "sidelog.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "sidelog.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "sidelog.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "sidelog.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "sidelog.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sidelog.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sidelog.labels" -}}
{{ include "sidelog.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Not those of the gateway, whose StatefulSet and Service would take its pods for their own. */}}
{{- define "sidelog.viewerSelectorLabels" -}}
app.kubernetes.io/name: {{ include "sidelog.name" . }}-viewer
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sidelog.viewerLabels" -}}
{{ include "sidelog.viewerSelectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* MiB of the volume in memory. A ring's file takes 5 MiB beside the ring. */}}
{{- define "sidelog.ringVolumeMebibytes" -}}
{{- mul 2 .Values.workers (add .Values.ringMebibytes 32) }}
{{- end }}

{{- define "sidelog.memoryLimit" -}}
{{- printf "%dMi" (add (include "sidelog.ringVolumeMebibytes" . | int) (mul .Values.workers 120) 200) }}
{{- end }}
