{{- /* A flag's value as text; a number of a file of values is a float64. */}}
{{- define "text" }}{{ if kindIs "float64" . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}{{ end }}

{{- /* Gives the ConfigMap `map` the keys that the values have; prints nothing. */}}
{{- define "config" }}
{{- $map := .map }}
{{- $data := dict }}
{{- range $flag, $value := .root.Values.config }}{{ $_ := set $data $flag (include "text" $value) }}{{ end }}
{{- with $data }}{{ $_ := set $map "data" . }}{{ end }}
{{- end }}

{{- /* Changes the DaemonSet `set` in place as the values say; prints nothing. */}}
{{- define "agent" }}
{{- $values := .root.Values }}
{{- $pod := .set.spec.template.spec }}
{{- $agent := first $pod.containers }}
{{- $_ := set $agent "image" (printf "%s:%s" $values.image.repository ($values.image.tag | default .root.Chart.AppVersion)) }}
{{- range $field := list "tolerations" "nodeSelector" }}
{{- with index $values $field }}{{ $_ := set $pod $field . }}{{ end }}
{{- end }}
{{- with $values.terminationGracePeriodSeconds }}{{ $_ := set $pod "terminationGracePeriodSeconds" (int64 .) }}{{ end }}
{{- with $values.resources }}{{ $_ := set $agent "resources" . }}{{ end }}
{{- $flags := deepCopy $values.flags }}
{{- with $values.interface }}{{ $_ := set $flags "interface" (join "," .) }}{{ end }}
{{- with $values.watchNamespaces }}{{ $_ := set $flags "watch-namespace" (join "," .) }}{{ end }}
{{- if $values.takeOver }}{{ $_ := set $flags "take-over-ingress-nginx" true }}{{ end }}
{{- if not $values.publish }}{{ $_ := set $flags "no-publish" true }}{{ end }}
{{- $env := $agent.env }}
{{- if $values.noXdp }}
{{- $_ := set $flags "no-xdp" true }}
{{- if not (hasKey $flags "listen") }}{{ $_ := set $flags "listen" "0.0.0.0:80,[::]:80" }}{{ end }}
{{- if not (hasKey $flags "tls-listen") }}{{ $_ := set $flags "tls-listen" "0.0.0.0:443,[::]:443" }}{{ end }}
{{- $_ := set $agent.securityContext.capabilities "add" (list "NET_BIND_SERVICE") }}
{{- $kept := list }}
{{- range $env }}{{ if ne .name "INGRESS_AGENT_PIN_DIR" }}{{ $kept = append $kept . }}{{ end }}{{ end }}
{{- $env = $kept }}
{{- range $place := list (list $agent "volumeMounts") (list $pod "volumes") }}
{{- $kept := list }}
{{- range index (first $place) (last $place) }}{{ if ne .name "bpf" }}{{ $kept = append $kept . }}{{ end }}{{ end }}
{{- $_ := set (first $place) (last $place) $kept }}
{{- end }}
{{- end }}
{{- range $flag, $value := $flags }}
{{- $name := printf "INGRESS_AGENT_%s" ($flag | upper | replace "-" "_") }}
{{- $kept := list }}
{{- range $env }}{{ if ne .name $name }}{{ $kept = append $kept . }}{{ end }}{{ end }}
{{- $env = append $kept (dict "name" $name "value" (include "text" $value)) }}
{{- end }}
{{- $_ := set $agent "env" $env }}
{{- end }}
