{{/*
Address under which the runtime is reached: Ingress, else tunnel, else what the values say.
*/}}
{{- define "gitops-runtime.url" -}}
{{- $runtime := .Values.global.runtime }}
{{- $tunnel := index .Values "tunnel-client" }}
{{- if $runtime.ingress.enabled }}
{{- if not (has $runtime.ingress.protocol (list "http" "https")) }}
{{- fail (printf "global.runtime.ingress.protocol is %q, it can be http or https" $runtime.ingress.protocol) }}
{{- end }}
{{- if not $runtime.ingress.hosts }}
{{- fail "global.runtime.ingress.hosts needs at least one host" }}
{{- end }}
{{- $runtime.ingress.protocol }}://{{ first $runtime.ingress.hosts }}
{{- else if $tunnel.enabled }}
{{- $account := required "global.codefresh.accountId is needed for the tunnel" .Values.global.codefresh.accountId }}
{{- printf "https://%s-%s.%s" $account $runtime.name $tunnel.tunnelServer.subdomainHost }}
{{- else }}
{{- required "global.runtime.ingressUrl is needed when there is neither Ingress nor tunnel" $runtime.ingressUrl }}
{{- end }}
{{- end }}

{{/*
Reference to the key that holds the user's token.
*/}}
{{- define "gitops-runtime.user-token" -}}
{{- $token := .Values.global.codefresh.userToken }}
{{- if $token.token }}
name: codefresh-user-token
key: token
{{- else if $token.secretKeyRef }}
{{- if eq ($token.secretKeyRef.name | default "") "codefresh-token" }}
{{- fail "global.codefresh.userToken.secretKeyRef.name cannot be codefresh-token, the runtime makes a Secret of that name" }}
{{- end }}
name: {{ required "global.codefresh.userToken.secretKeyRef needs a name" $token.secretKeyRef.name }}
key: {{ required "global.codefresh.userToken.secretKeyRef needs a key" $token.secretKeyRef.key }}
{{- else }}
{{- fail "global.codefresh.userToken needs a token or a secretKeyRef" }}
{{- end }}
{{- end }}

{{/*
Metadata of an object of the umbrella. Takes root, name and component.
*/}}
{{- define "gitops-runtime.metadata" -}}
{{ include "common.metadata" . }}
  app: codefresh-gitops-runtime
{{- end }}
