import { mount } from "svelte";

import "./base.css";
import "./drawing/drawing.css";
import App from "./frame/App.svelte";

mount(App, { target: document.getElementById("app")! });
