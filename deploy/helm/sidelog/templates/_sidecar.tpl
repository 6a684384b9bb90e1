{{/*
sidelog beside a service, as a native sidecar (Kubernetes 1.29 or newer): an init container with restartPolicy Always
starts before the service and is stopped after it, so no request finds the service without its proxy. In a chart that
depends on this one, with `gateway.enabled: false` and `upstream: http://127.0.0.1:3000` in its values:

    template:
      metadata:
        labels:
          sidelog: sidecar
      spec:
        terminationGracePeriodSeconds: 120
        initContainers:
          {{- include "sidelog.sidecar" .Subcharts.sidelog | nindent 10 }}
        volumes:
          {{- include "sidelog.sidecarVolumes" .Subcharts.sidelog | nindent 10 }}

and `targetPort: {{ .Subcharts.sidelog.Values.ports.proxy }}` in its Service: a number, as before 1.32 Kubernetes does not
find the name of a port of a native sidecar. Where the settings change without the pod, annotate the pod with
`checksum/sidelog: {{ .Subcharts.sidelog.Values.settings | sha256sum }}`.
*/}}
{{- define "sidelog.sidecar" -}}
{{- if semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version }}
{{- fail (printf "sidelog.sidecar: native sidecars need Kubernetes 1.29, this is %s" .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- include "sidelog.checkUpstream" . }}
- restartPolicy: Always
  {{- include "sidelog.container" . | nindent 2 }}
{{- end }}

{{- define "sidelog.sidecarVolumes" -}}
{{- include "sidelog.temporaryData" . }}
{{ include "sidelog.volumes" . }}
{{- end }}

{{- define "sidelog.checkUpstream" -}}
{{- if not (or .Values.upstream (contains "upstream" .Values.settings)) }}
{{- fail "upstream: the URL of the service is needed, or settings with routes" }}
{{- end }}
{{- end }}
