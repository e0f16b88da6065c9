{{- /* Labels that select the pods of a component: (dict "root" $ "component" "worker" "worker" "gpu") */ -}}
{{- define "vcpbench.selector" -}}
app.kubernetes.io/name: vcpbench
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .worker }}
vcpbench/worker: {{ . }}
{{- end }}
{{- end -}}

{{- define "vcpbench.labels" -}}
{{ include "vcpbench.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{- /* What every pod has: (dict "root" $ "user" 10001 "group" 10001). Without `enableServiceLinks: false`, a Service that is
called vcpbench would set VCPBENCH_PORT in every container of the namespace. */ -}}
{{- define "vcpbench.pod" -}}
enableServiceLinks: false
automountServiceAccountToken: false
serviceAccountName: {{ .root.Values.serviceAccountName }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user }}
  runAsGroup: {{ .group }}
  fsGroup: {{ .group }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- end -}}

{{- /* What every container has: (dict "root" $ "image" "service" "readOnlyRoot" true) */ -}}
{{- define "vcpbench.container" -}}
image: {{ index .root.Values.images .image }}
imagePullPolicy: {{ .root.Values.images.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: {{ .readOnlyRoot }}
  capabilities: { drop: [ALL] }
{{- end -}}

{{- /* Settings of every container of ours. The addresses with passwords are files (VCPBENCH_SECRETS). */ -}}
{{- define "vcpbench.environment" -}}
- { name: VCPBENCH_SECRETS, value: /run/secrets/vcpbench }
- { name: VCPBENCH_STORE_URL, value: {{ .Values.store.url | quote }} }
- { name: AWS_REGION, value: {{ .Values.store.region | quote }} }
{{- $here := ternary (printf "http://%s-s3:3900" .Release.Name) "" .Values.s3.enabled }}
{{- with .Values.store.endpoint | default $here }}
- { name: AWS_ENDPOINT_URL, value: {{ . | quote }} }
{{- end }}
- { name: AWS_ALLOW_HTTP, value: "true" } # within the cluster; an https:// endpoint stays https
{{- if .Values.store.keysFromSecret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: { secretKeyRef: { name: {{ .Values.secret }}, key: s3-access-key } }
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: { secretKeyRef: { name: {{ .Values.secret }}, key: s3-secret-key } }
{{- end }}
{{ include "vcpbench.settings" .Values.settings }}
{{- end -}}

{{- define "vcpbench.settings" -}}
{{- range $name, $value := . }}
- { name: {{ $name }}, value: {{ $value | toString | quote }} }
{{- end }}
{{- end -}}

{{- define "vcpbench.mounts" -}}
- { name: secret, mountPath: /run/secrets/vcpbench, readOnly: true }
- { name: tmp, mountPath: /tmp }
{{- end -}}

{{- define "vcpbench.volumes" -}}
- name: secret
  secret:
    secretName: {{ .Values.secret }}
    defaultMode: 0440
    items:
      - { key: database-url, path: vcpbench_database_url }
      - { key: broker-url, path: vcpbench_broker_url }
- name: tmp
  emptyDir: { sizeLimit: 256Mi }
{{- end -}}

{{- /* Waits until the migrate Job is done. Without it, a pod would end and be started again until then. */ -}}
{{- define "vcpbench.waiting" -}}
- name: wait-for-schema
  {{- include "vcpbench.container" (dict "root" . "image" "service" "readOnlyRoot" true) | nindent 2 }}
  command: [python, -m, records.migrate, --wait]
  env:
    {{- include "vcpbench.environment" . | nindent 4 }}
  resources:
    {{- toYaml .Values.migrate.resources | nindent 4 }}
  volumeMounts:
    {{- include "vcpbench.mounts" . | nindent 4 }}
{{- end -}}
