{{/* sidelog's container, of a gateway and of a sidecar. */}}
{{- define "sidelog.container" -}}
name: sidelog
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: ["serve"{{ if .Values.settings }}, "--config", "/etc/sidelog/sidelog.toml"{{ end }}]
env:
  {{- with .Values.upstream }}
  - name: SIDELOG_PROXY__UPSTREAM
    value: {{ quote . }}
  {{- end }}
  - name: SIDELOG_PROXY__LISTEN
    value: "0.0.0.0:{{ .Values.ports.proxy }}"
  - name: SIDELOG_PROXY__WORKERS
    value: {{ .Values.workers | quote }}
  {{- with .Values.trustedProxies }}
  # The ingress in front terminates TLS and says so in X-Forwarded-Proto; unless it is trusted, the service sees `http`.
  - name: SIDELOG_PROXY__TRUSTED_PROXIES
    value: {{ toJson . | quote }}
  {{- end }}
  # API and UI stay in the pod.
  - name: SIDELOG_ADMIN__LISTEN
    value: "127.0.0.1:{{ .Values.ports.admin }}"
  # Probes are answered by the supervisor, whatever the other processes do.
  - name: SIDELOG_ADMIN__HEALTH_LISTEN
    value: "0.0.0.0:{{ .Values.ports.health }}"
  # Nothing but /metrics and probes, for Prometheus.
  - name: SIDELOG_ADMIN__METRICS_LISTEN
    value: "0.0.0.0:{{ .Values.ports.metrics }}"
  # A directory below the mount: sidelog makes it itself, readable by its own user only.
  - name: SIDELOG_DATA_DIR
    value: "/var/lib/sidelog/data"
  - name: SIDELOG_RING__BYTES
    value: {{ mul .Values.ringMebibytes 1048576 | quote }}
  {{- if include "sidelog.isTemporary" . }}
  # With journal and spool it fits the volume of the data, which is part of the node's disk.
  - name: SIDELOG_RETENTION__MAX_BYTES
    value: {{ .Values.persistence.temporaryRetention | quote }}
  {{- end }}
  {{- if .Values.gateway.enabled }}
  # Requests still arrive until the endpoint's removal has reached every node.
  - name: SIDELOG_PROXY__LIMITS__DRAIN_DELAY_S
    value: {{ .Values.gateway.drainDelaySeconds | quote }}
  {{- end }}
  {{- with .Values.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: proxy
    containerPort: {{ .Values.ports.proxy }}
  - name: health
    containerPort: {{ .Values.ports.health }}
  - name: metrics
    containerPort: {{ .Values.ports.metrics }}
{{ include "sidelog.probes" . }}
resources:
  {{- with .Values.resources.requests }}
  requests:
    {{- toYaml . | nindent 4 }}
    {{- if and (include "sidelog.isTemporary" $) (not (hasKey . "ephemeral-storage")) }}
    # The whole volume of the data, so that the pod is not evicted for it.
    ephemeral-storage: {{ $.Values.persistence.temporarySize }}
    {{- end }}
  {{- end }}
  limits:
    {{- toYaml (merge (dict) .Values.resources.limits (dict "memory" (include "sidelog.memoryLimit" .))) | nindent 4 }}
{{ include "sidelog.securityContext" . }}
volumeMounts:
  - name: sidelog-data
    mountPath: /var/lib/sidelog
  - name: sidelog-ring
    mountPath: /dev/shm
  {{- if .Values.settings }}
  - name: sidelog-settings
    mountPath: /etc/sidelog
  {{- end }}
{{- end }}

{{/* The volumes of both but for the data. */}}
{{- define "sidelog.volumes" -}}
# /dev/shm of a pod has 64 MiB, too little for the rings; in a volume they outlive a restart of the container.
- name: sidelog-ring
  emptyDir:
    medium: Memory
    sizeLimit: {{ include "sidelog.ringVolumeMebibytes" . }}Mi
{{- if .Values.settings }}
- name: sidelog-settings
  configMap:
    name: {{ include "sidelog.fullname" . }}-settings
{{- end }}
{{- end }}

{{/* Whether records live as long as the pod; empty if not. */}}
{{- define "sidelog.isTemporary" -}}
{{- if or (not .Values.gateway.enabled) (not .Values.persistence.enabled) }}true{{ end }}
{{- end }}

{{- define "sidelog.temporaryData" -}}
- name: sidelog-data
  emptyDir:
    sizeLimit: {{ .Values.persistence.temporarySize }}
{{- end }}

{{- define "sidelog.probes" -}}
startupProbe:
  httpGet:
    path: /readyz
    port: health
  periodSeconds: 1
  failureThreshold: 60
readinessProbe:
  httpGet:
    path: /readyz
    port: health
  periodSeconds: 5
livenessProbe:
  httpGet:
    path: /healthz
    port: health
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}

{{- define "sidelog.securityContext" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: ["ALL"]
  seccompProfile:
    type: RuntimeDefault
{{- end }}
